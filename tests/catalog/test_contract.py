"""One contract for every catalog: `CATALOGS` lists the databases, and each test is run on all of them."""

import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from bandsight.archive import Archive, ArchiveWriter, Engines, Location
from bandsight.archive.admin import back_up, create_beside, repair, swap_in, upgrade, verify
from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.segments import Segment
from bandsight.catalog.jobs import Counts
from bandsight.catalog.postgres import PostgresDatabase
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.saved_searches import SavedHits
from bandsight.catalog.sql.schema import HEAD, migrate, schema_version
from bandsight.catalog.sql.tables import Base
from bandsight.catalog.sqlite import SqliteDatabase, catalog_url
from bandsight.errors import ArchiveError, ModelChangedError, NotFoundError
from bandsight.search.ranking import nearest
from bandsight.vectors.reference_store import ReferenceEngine
from tests.archive.makers import MODEL, entry, polar, scene, tiles, vectors
from tests.conftest import postgres_url

CATALOGS = ["sqlite", pytest.param("plain", id="postgresql", marks=pytest.mark.cluster)]
POSTGIS = pytest.param("postgis", id="postgresql with postgis", marks=pytest.mark.cluster)
# PostGIS differs in the indexes of boxes alone.
with_postgis = pytest.mark.parametrize("new_url", [*CATALOGS, POSTGIS], indirect=True)


@pytest.fixture(params=CATALOGS)
def new_url(request, tmp_path):
    """Gives the URL of a catalog that does not exist yet, one after the other."""
    if request.param == "sqlite":
        return lambda name: catalog_url(tmp_path / name)
    server = request.getfixturevalue("postgres_server")
    return lambda _: postgres_url(server, request.param)


@pytest.fixture
def where(new_url, tmp_path):
    (tmp_path / "a").mkdir()
    return Location(catalog=new_url("a"), vectors=(tmp_path / "a").as_uri(), folder=tmp_path / "a")


@pytest.fixture
def database_of():
    """Opens the catalog of a location; it is closed after the test."""
    opened = []

    def make(where):
        opened.append(Engines().catalog_of(where))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def raw(database_of):
    """Gives the engine of a catalog, and its schema on PostgreSQL."""

    def make(where):
        database = database_of(where)
        return database._engine, database.place.schema if isinstance(database, PostgresDatabase) else None

    return make


@pytest.fixture
def archive(where):
    with ArchiveWriter.create(where, MODEL) as made:
        for first in range(0, 8, 2):
            made.add([entry(first), entry(first + 1)])
        yield made


def scene_at(archive, href):
    return next(scene for scene in archive.scenes() if scene.href == href)


def answers(archive):
    return [(hit.tile, hit.scene, hit.score) for hit in nearest(archive, vectors(1, 1), 1000)[0]]


def test_written_rows_are_read_back(archive, where):
    archive.add([polar(30, north=True), entry(9)])
    with Archive.open(where) as reader:
        for number in (*range(8), 9):
            found = scene_at(reader, f"/scenes/{number}.tif")
            assert found == replace_id(scene(number), found.id)
            ids = reader.tile_ids(filter_of(found.id))
            assert [strip(one) for one in reader.tiles_by_id(ids.tolist()).values()] == tiles(number, 4)
        assert verify(reader, full=True) == []
        assert reader.database.size_bytes() > 0


def replace_id(record, scene_id):
    from bandsight.catalog.records import Scene

    return Scene(id=scene_id, **{name: getattr(record, name) for name in record.__dataclass_fields__})


def strip(tile):
    from bandsight.catalog.records import TileRecord

    return TileRecord(**{name: getattr(tile, name) for name in TileRecord.__dataclass_fields__})


def filter_of(scene_id):
    from bandsight.attributes.filters import Filter

    return Filter(scenes=(scene_id,))


def test_scenes_are_replaced_moved_and_removed_and_counted(archive, where):
    then = archive.generation
    archive.add([entry(1, 2, version=1)])
    archive.remove(["/scenes/4.tif"])
    assert archive.stats()["tiles"] == archive.tile_count == 7 * 4 - 2
    changes = archive.changes(then)
    assert (len(changes.added), len(changes.removed), len(changes.replaced)) == (1, 2, 1)
    with pytest.raises(NotFoundError):
        archive.remove(["/scenes/4.tif"])
    moved = scene_at(archive, "/scenes/0.tif")
    assert archive.relocate({moved.id: {"/scenes/0.tif": "/other/0.tif"}}) == 1
    assert archive.scene(moved.id).href == "/other/0.tif"
    assert archive.compact()["deleted_vectors_after"] == 0
    totals = archive.stats()["collections"]
    assert sum(row["tiles"] for row in totals) == 7 * 4 - 2
    assert [row["collection"] for row in totals] == sorted(row["collection"] for row in totals)
    assert verify(archive, full=True) == []


def test_ids_are_never_used_twice(archive):
    newest_scene, newest_tile = archive.scenes()[-1].id, archive.newest_tile
    archive.remove(["/scenes/7.tif"])
    archive.add([entry(20)])
    assert archive.scenes()[-1].id == newest_scene + 1
    assert archive.newest_tile == newest_tile + 4


def test_a_failed_transaction_leaves_nothing(archive, where):
    before = archive.stats()
    with pytest.raises(RuntimeError), archive.database.writing() as catalog:  # noqa: PT012  (all of it is undone)
        generation = catalog.advance()
        added = catalog.add_scene(scene(40), generation)
        catalog.add_tiles(added, catalog.next_tile_id(), tiles(40, 3))
        catalog.add_segment(Segment(name="x", first_id=10**6, last_id=10**6, count=1, sha256="0"), generation)
        raise RuntimeError
    assert archive.stats() == before


def test_a_reader_keeps_its_state_during_a_commit(archive):
    with archive.database.reading() as catalog:
        before = catalog.generation(), catalog.scene_ids()
        archive.add([entry(21)])
        assert (catalog.generation(), catalog.scene_ids()) == before
    with archive.database.reading() as catalog:
        assert catalog.generation() == before[0] + 1


def test_concurrent_writers_are_serialised_and_lose_nothing(archive, where, database_of):
    def write(number):
        database = database_of(where)
        for n in range(5):
            with database.writing() as catalog:
                generation = catalog.advance()
                added = catalog.add_scene(scene(100 + 10 * number + n), generation)
                catalog.add_tiles(added, catalog.next_tile_id(), tiles(number, 2))
        database.close()

    before = archive.generation, archive.newest_tile
    threads = [threading.Thread(target=write, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with archive.database.reading() as catalog:
        assert catalog.state() == (before[0] + 15, before[1] + 30)
        assert len(catalog.scene_ids()) == 8 + 15
        assert catalog.counts()["tiles"] == len(catalog.tile_ids(0, 10**9)) == 8 * 4 + 30


def test_failures_jobs_and_saved_searches_are_kept(archive, where):
    job = archive.jobs.begin("index", ["/in"], Counts(scenes=2))
    archive.record_failure("/z.tif", "why", scene="z", job=job)
    archive.record_failure("/z.tif", "why not")
    archive.record_failure("/A.tif", "no")
    archive.jobs.update(job, Counts(scenes=2, failed=1))
    archive.jobs.end(job, "successful", "done", Counts(scenes=2, failed=1))
    assert [(href, reason) for href, reason, _ in archive.jobs.failures()] == [("/A.tif", "no"), ("/z.tif", "why not")]
    found = archive.jobs.get(job)
    assert (found.state, found.counts.failed, found.failures) == ("successful", 1, (("z", "/z.tif", "why"),))
    assert [one.id for one in archive.jobs.newest()] == [job]
    hits = SavedHits(ids=np.arange(600), scores=np.linspace(1, 0, 600, dtype=np.float32))
    kept = archive.saved_searches.add("t", {"q": "é \\u0000 water"}, max_hits=600, hits=hits, generation=1)
    with archive.database.reading() as catalog:
        read = catalog.saved_searches.hits(kept.id, 250, 520)
        np.testing.assert_array_equal(read.ids, hits.ids[250:520])
        np.testing.assert_array_equal(read.scores, hits.scores[250:520])
        assert catalog.saved_searches.get(kept.id).request == {"q": "é \\u0000 water"}
        assert catalog.saved_searches.newest(5)[0].id == kept.id


def test_a_catalog_is_created_once(archive, where, database_of):
    assert database_of(where).exists()
    with pytest.raises(ArchiveError, match="there is already an archive here"):
        database_of(where).create(MODEL)


def test_a_missing_archive_is_an_error_with_advice(new_url, tmp_path, database_of):
    (tmp_path / "none").mkdir()
    where = Location(catalog=new_url("none"), vectors=(tmp_path / "none").as_uri(), folder=tmp_path / "none")
    assert not database_of(where).exists()
    with pytest.raises(ArchiveError, match="no Bandsight archive here; create one with: bandsight"):
        Archive.open(where)


@with_postgis
@pytest.mark.parametrize("step", ["0001", "0005", "0009", "base"])
def test_downgrading_and_upgrading_keeps_rows(archive, where, step, raw):
    archive.record_failure("/x.tif", "why")
    before = answers(archive)
    archive.close()
    target, schema = raw(where)
    migrate(target, step, schema)
    assert schema_version(target, schema) == (None if step == "base" else step)
    shutil.rmtree(where.folder / "index")
    if step == "base":
        migrate(target, schema=schema)
        assert schema_version(target, schema) == HEAD
        return
    with pytest.raises(ArchiveError, match="run: bandsight upgrade --archive"):
        Archive.open(where)
    assert upgrade(where) == HEAD
    with Archive.open(where) as again:
        found = answers(again)
        assert [(one.id, one.boxes, score) for one, _, score in found] == [(t.id, t.boxes, s) for t, _, s in before]
        if step >= "0006":
            assert found == before
        assert verify(again, full=True) == []
        assert again.stats()["tiles"] == 32


def test_a_newer_schema_is_rejected_unchanged(archive, where, raw):
    archive.close()
    target, _ = raw(where)
    with target.connect() as connection, connection.execution_options(writes=True).begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (Archive.open, upgrade):
        with pytest.raises(ArchiveError, match="newer than this Bandsight's"):
            call(where)


@with_postgis
def test_migrations_create_the_declared_tables(archive, where, raw):
    target, _ = raw(where)
    with target.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    # The indexes of boxes are PostgreSQL's alone, and PostGIS has a table of its own.
    assert [one for one in found if not one[1].name.startswith(("ix_tiles_box", "spatial_ref_sys"))] == []


def test_a_backup_is_an_archive_in_a_folder(archive, tmp_path):
    archive.remove(["/scenes/7.tif"])
    archive.record_failure("/z.tif", "why")
    back_up(archive, tmp_path / "copy")
    with ArchiveWriter.open(tmp_path / "copy") as copy:
        assert answers(copy) == answers(archive)
        assert isinstance(copy.database, SqliteDatabase)
        assert verify(copy, full=True) == []
        assert copy.jobs.failures() == archive.jobs.failures()
        copy.add([entry(50)])
        archive.add([entry(50)])
        assert copy.scenes()[-1].id == archive.scenes()[-1].id


@pytest.mark.parametrize("kind", ["alike", "in a folder"])
def test_all_rows_are_replaced_by_another_archives_in_one_commit(archive, where, new_url, tmp_path, kind):
    other = ModelIdentity(name="other", digest="0" * 64, dim=MODEL.dim, license="x")
    beside_at = tmp_path / "b"
    if kind == "alike":
        beside_at = Location(catalog=new_url("b"), vectors=(tmp_path / "b").as_uri(), folder=tmp_path / "b")
    kept = archive.saved_searches.add("t", {"q": "x"}, max_hits=5)
    with Archive.open(where) as reader, create_beside(archive, beside_at, other) as beside:
        beside.add([entry(8), entry(9)])
        swap_in(archive, beside)
        assert len(answers(archive)) == 8
        assert verify(archive, full=True) == []
        assert archive.saved_searches.get(kept.id).title == "t"
        with pytest.raises(ModelChangedError):
            answers(reader)
    archive.add([entry(10)])
    assert len({one.id for one in archive.scenes()}) == 3


def test_a_damaged_row_is_found_and_repaired(archive, where, raw):
    archive.close()
    target, _ = raw(where)
    with target.connect() as connection, connection.execution_options(writes=True).begin():
        connection.execute(text("UPDATE tiles SET west = west + 1 WHERE id = 6"))
    with Archive.open(where) as reader:
        assert any("row 6 of tiles does not match its checksum" in line for line in verify(reader, full=True))
    assert any("lost: /scenes/1.tif" in line for line in repair(where))
    with Archive.open(where) as reader:
        assert verify(reader, full=True) == []
        assert reader.stats()["tiles"] == 28
        assert reader.stats()["failed_scenes"] == 1


def test_an_archive_of_another_vector_engine_runs_on_it(where):
    engines = Engines(vectors={"memory": ReferenceEngine().open})
    place = replace(where, vectors=f"memory://{where.folder}")
    with ArchiveWriter.create(place, MODEL, engines) as archive:
        archive.add([entry(0), entry(1)])
        assert len(answers(archive)) == 8


def test_dates_before_the_epoch_and_microseconds_are_kept(archive):
    when = datetime(1955, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
    archive.add([(replace(scene(60), datetime=when), tiles(60, 1), vectors(60, 1))])
    assert scene_at(archive, "/scenes/60.tif").datetime == when


def test_narrowing_needs_an_index(archive):
    with archive.database.reading() as catalog:
        found = catalog.narrow(filter_of(1), _no_scenes(archive), 10)
    assert found is None or isinstance(archive.database, PostgresDatabase)


def _no_scenes(archive) -> SceneColumns:
    return archive.read(lambda view: view.scene_columns)
