"""Faults around the engines: a link that is slow and loses packets, and a disk that is full."""

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.errors import ArchiveError
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.milvus import search as answering
from tests.archive.makers import MODEL, entry, filled, vectors
from tests.cluster.object_storage import KEYS
from tests.cluster.servers import USER, server_folder
from tests.cluster.slow_link import FAR, slow_link
from tests.cluster.test_object_storage import answers
from tests.conftest import files_url, milvus_url, postgres_url

pytestmark = pytest.mark.cluster


@pytest.fixture
def link(postgres_server, milvus_server, s3_server):
    """A link of 200 ms that loses a packet of a hundred, to all engines."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(slow_link([one.port for one in (postgres_server, milvus_server, s3_server)]))
        except OSError as error:
            pytest.skip(f"no network devices can be made here ({error})")
        yield made


def test_engines_behind_a_slow_link_that_loses_packets_lose_and_double_nothing(
    link, postgres_server, milvus_server, s3_server, tmp_path, monkeypatch
):
    monkeypatch.setattr(building, "WORTH_IT", 20)
    monkeypatch.setattr(answering, "FEW", 0)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    urls = {
        "catalog": postgres_url(postgres_server),
        "vectors": milvus_url(milvus_server),
        "files": files_url(s3_server, keep_unnamed_s=0, timeout_s=60),
    }
    far = {name: url.replace("127.0.0.1", FAR) for name, url in urls.items()}
    for name, where in (("near", urls), ("far", far)):
        write_config(tmp_path / name / "archive.toml", ArchiveConfig(folder=tmp_path / name, **where))
    with filled(tmp_path / "embedded", 4, 8) as embedded:
        began = time.monotonic()
        with filled(tmp_path / "far", 4, 8) as writer:
            # Again, and away: neither is doubled, nor left.
            writer.add([entry(3, 8)])
            writer.remove(["/scenes/1.tif"])
            writer.optimize(vectors(5, 40))
            embedded.remove(["/scenes/1.tif"])
            assert answers(writer) == answers(embedded)
            assert answers(writer, k=10, exact=False) == answers(embedded, k=10)
        assert time.monotonic() - began > 2
    assert link.carried > 200
    assert link.lost > 0
    # Nothing else than what was committed is there, seen from nearby.
    with Archive.open(tmp_path / "near") as near:
        assert verify(near, full=True) == []
        assert near.stats()["tiles"] == 3 * 8


@pytest.fixture
def small_disk(postgres_server):
    """A database whose tables are on a disk with little room, and what makes that larger."""

    def mount(folder: Path, how: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")

    def run(statement: str) -> None:
        where = f"postgresql://{USER}:secret@127.0.0.1:{postgres_server.port}/postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement)

    with server_folder() as folder:
        mount(folder, f"size=16m,uid={folder.stat().st_uid},mode=700")
        try:
            run(f"CREATE TABLESPACE little LOCATION '{folder}'")
            run("CREATE DATABASE little")
            run("ALTER DATABASE little SET default_tablespace = little")
            yield lambda: mount(folder, "remount,size=64m")
            run("DROP DATABASE little WITH (FORCE)")
            run("DROP TABLESPACE little")
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_of_the_database_is_named_and_costs_no_commit(small_disk, postgres_server, tmp_path):
    folder = tmp_path / "a"
    write_config(folder / "archive.toml", ArchiveConfig(folder=folder, catalog=postgres_url(postgres_server, "little")))
    kept = 0
    with ArchiveWriter.create(folder, MODEL) as writer, Archive.open(folder) as reader:
        refused = ""
        while not refused:
            try:
                writer.add([entry(kept, 500)])
                kept += 1
            except ArchiveError as error:
                refused = str(error)
        assert refused.startswith("catalog postgresql")
        assert refused.endswith("PostgreSQL's disk is full; free some space and try again")
        assert kept > 0
        # Reading goes on, and nothing of the commit that failed is there.
        reader.refresh()
        assert reader.stats()["tiles"] == 500 * kept
        assert len(answers(reader, k=10)) == 10
        assert verify(reader) == []
        small_disk()
        writer.add([entry(kept, 500)])
        reader.refresh()
        assert reader.stats()["tiles"] == 500 * (kept + 1)
        assert verify(reader, full=True) == []
        reader.database.close()
        writer.database.close()
