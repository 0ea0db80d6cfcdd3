"""Several writers of one archive: who waits for whom, and what a database that dies while they commit costs."""

import threading
import time

import pytest

from bandsight.archive import ArchiveWriter
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.archive.lock import WAIT_VARIABLE
from bandsight.catalog.postgres import PostgresDatabase
from bandsight.errors import ArchiveLockedError, EngineUnavailableError
from indexer.events import Committed, Note
from indexer.patience import Patience
from indexer.pipeline import index
from indexer.progress import NullProgress
from tests.archive.makers import MODEL, entry
from tests.cluster.test_cluster import on_engines
from tests.conftest import postgres_url
from tests.indexer.conftest import identity
from tests.indexer.test_executor import assert_same, scenes_in

pytestmark = pytest.mark.cluster


def on_postgres(folder, postgres_server):
    """Return a folder whose catalog is on a server and holds nothing yet; its vectors are in the folder."""
    write_config(folder / "archive.toml", ArchiveConfig(folder=folder, catalog=postgres_url(postgres_server)))
    return folder


@pytest.fixture
def database(postgres_server):
    made = PostgresDatabase(postgres_url(postgres_server))
    made.create(MODEL)
    yield made
    made.close()


def test_jobs_share_a_catalog_and_what_must_be_alone_is(database):
    first, second = (database.hold(alone=False, wait_s=0) for _ in range(2))
    with pytest.raises(ArchiveLockedError, match="other jobs are writing to this archive; wait until they are done"):
        database.hold(alone=True, wait_s=0)
    first.release()
    threading.Timer(0.7, second.release).start()
    alone = database.hold(alone=True, wait_s=30)
    with pytest.raises(ArchiveLockedError, match="a job that must be alone is writing to this archive"):
        database.hold(alone=False, wait_s=0)
    alone.release()
    database.hold(alone=False, wait_s=0).release()


def test_a_lease_is_one_process_s_until_it_is_given_back_or_its_connection_ends(database, postgres_server):
    one, other = database.leases(), database.leases()
    assert one.take("a")
    assert one.take("a")
    assert one.take("b")
    assert not other.take("a")
    one.give_back("a")
    assert not other.take("a")
    one.give_back("a")
    one.give_back("a")
    assert other.take("a")
    one.close()
    assert other.take("b")
    postgres_server.kill()
    try:
        with pytest.raises(EngineUnavailableError):
            other.take("c")
    finally:
        postgres_server.run()
    # What it had is its own again, where nobody came first.
    assert other.take("c")
    assert not one.take("a")
    assert not one.take("b")
    one.close()
    other.close()


def test_an_archive_opened_by_several_jobs_keeps_what_each_of_them_adds(postgres_server, milvus_server, tmp_path):
    target = on_engines(tmp_path / "a", postgres_server, milvus_server)
    ArchiveWriter.create(target, MODEL).close()
    writers = [ArchiveWriter.open_or_create(target, MODEL, alone=False) for _ in range(3)]
    with pytest.raises(ArchiveLockedError):
        ArchiveWriter.open(target)

    def add(number):
        for one in range(5):
            writers[number].add([entry(10 * number + one, 4), entry(99, 4)])
            # As a job that begins does: what others are about to commit is not taken for debris.
            writers[number].reopen()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.close()
    with ArchiveWriter.open(target) as alone:
        assert alone.stats()["scenes"] == 16
        assert alone.stats()["tiles"] == 64
        assert len(alone.vectors(list(range(1, 65)))) == 64


class Once(NullProgress):
    """Does something at the first commit, in the writer's thread."""

    def __init__(self, do):
        self._do, self.notes = do, []

    def on(self, event):
        if isinstance(event, Note):
            self.notes.append(event.text)
        if isinstance(event, Committed) and self._do:
            do, self._do = self._do, None
            do()


def test_a_database_that_dies_while_a_job_commits_is_waited_for(
    postgres_server, encoder, archive, tmp_path, monkeypatch
):
    monkeypatch.setattr("indexer.job._COMMIT_TILES", 1)
    folder = scenes_in(tmp_path / "in", 6)
    index([folder], archive=archive, model=encoder)
    target = on_postgres(tmp_path / "a", postgres_server)

    def crash():
        postgres_server.kill()
        restart.start()

    restart = threading.Timer(3, postgres_server.run)
    progress = Once(crash)
    try:
        with ArchiveWriter.open_or_create(target, identity(encoder), alone=False) as opened:
            summary = index([folder], archive=opened, model=encoder, progress=progress)
            assert [name for name, _ in summary.failed] == ["broken.tif"]
            assert_same(opened, archive)
    finally:
        restart.join()
    assert any("waiting for the archive" in text and "PostgreSQL is unreachable" in text for text in progress.notes)


def test_a_second_job_on_a_folder_gets_a_clear_message_or_waits(archive, encoder, tmp_path, monkeypatch):
    folder, place = scenes_in(tmp_path / "in"), archive.path
    index([folder], archive=archive, model=encoder)
    with pytest.raises(ArchiveLockedError, match=r"process \d+ is writing to this archive; wait until it is done"):
        ArchiveWriter.open_or_create(place, identity(encoder), alone=False)
    monkeypatch.setenv(WAIT_VARIABLE, "30")
    threading.Timer(0.5, archive.close).start()
    with ArchiveWriter.open_or_create(place, identity(encoder), alone=False) as second:
        assert index([folder], archive=second, model=encoder).skipped_scenes == 3


def test_a_stopped_job_does_not_wait_for_a_database_that_is_away():
    patience = Patience(lambda _: None)
    threading.Timer(0.3, patience.end).start()
    began = time.monotonic()

    def away():
        raise EngineUnavailableError("PostgreSQL does not answer")

    with pytest.raises(EngineUnavailableError):
        patience.call(away)
    assert time.monotonic() - began < 20
