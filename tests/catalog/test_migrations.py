import shutil
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from bandsight.archive import Archive
from bandsight.archive.admin import upgrade, verify
from bandsight.catalog.jobs import Counts
from bandsight.catalog.sql.schema import HEAD, migrate, migrations_folder, schema_version
from bandsight.catalog.sql.tables import Base
from bandsight.catalog.sqlite.database import open_engine
from bandsight.errors import ArchiveError
from bandsight.search.ranking import nearest
from tests.archive.makers import filled, vectors

_SINCE_0006 = {"decisions": None, "identity": None, "start_datetime": None, "end_datetime": None}


def test_the_expected_schema_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrations_create_the_declared_tables(tmp_path):
    engine = open_engine(tmp_path / "c.sqlite")
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def _known_to(scene, step):
    """Return a scene without what an older schema does not keep."""
    known = scene if step >= "0005" else replace(scene, source=None)
    return known if step >= "0006" else replace(known, **_SINCE_0006)


@pytest.mark.parametrize("step", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"])
def test_downgrading_and_upgrading_keeps_scenes_and_tiles(tmp_path, step):
    with filled(tmp_path / "a", 6) as archive:
        archive.record_failure("/x.tif", "why")
        job = archive.jobs.begin("index", ["/in"], Counts(scenes=6))
        archive.record_failure("/y.tif", "why not", job=job)
        # What was unknown to that schema is unknown again.
        before = [
            (
                replace(hit.tile, cloud_fraction=hit.tile.cloud_fraction if step >= "0005" else None),
                _known_to(hit.scene, step),
                hit.score,
            )
            for hit in nearest(archive, vectors(1, 1), 99)[0]
        ]
    engine = open_engine(tmp_path / "a" / "catalog.sqlite")
    migrate(engine, step)
    assert schema_version(engine) == step
    engine.dispose()
    # As the older version does, which knows no columns of this one.
    shutil.rmtree(tmp_path / "a" / "index")
    with pytest.raises(ArchiveError, match="run: bandsight upgrade --archive"):
        Archive.open(tmp_path / "a")
    assert upgrade(tmp_path / "a") == HEAD
    with Archive.open(tmp_path / "a") as archive:
        assert [(hit.tile, hit.scene, hit.score) for hit in nearest(archive, vectors(1, 1), 99)[0]] == before
        assert verify(archive, full=True) == []
        assert len(archive.jobs.failures()) == (0 if step < "0002" else 2)
        assert [one.id for one in archive.jobs.newest()] == ([] if step < "0004" else [job])


def test_downgrading_completely_leaves_nothing(tmp_path):
    filled(tmp_path / "a", 2).close()
    engine = open_engine(tmp_path / "a" / "catalog.sqlite")
    migrate(engine, "base")
    with engine.connect() as connection:
        names = set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    assert names <= {"alembic_version", "sqlite_sequence"}
    migrate(engine)
    assert schema_version(engine) == HEAD
    engine.dispose()


def test_an_archive_of_a_newer_version_is_rejected_unchanged(tmp_path):
    filled(tmp_path / "a", 1).close()
    engine = open_engine(tmp_path / "a" / "catalog.sqlite")
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ArchiveError, match="newer than this Bandsight's"):
        Archive.open(tmp_path / "a")
    with pytest.raises(ArchiveError, match="newer than this Bandsight's"):
        upgrade(tmp_path / "a")


def test_durability_is_switched_on(tmp_path):
    engine = open_engine(tmp_path / "c.sqlite")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()
