"""The cache of remote files: its limit, eviction, and concurrent threads and processes."""

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bandsight.errors import ArchiveError, EngineUnavailableError
from bandsight.objects.cache import FileCache


class Remote:
    """Files of ten bytes, and how often each was got."""

    def __init__(self) -> None:
        self.filled: list[str] = []

    def use(self, cache: FileCache, name: str) -> bytes:
        def fill(path: Path) -> None:
            self.filled.append(name)
            path.write_bytes(name.encode().ljust(10))

        return cache.use(name, 10, fill, Path.read_bytes)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_downloaded_once_and_the_least_recently_used_is_evicted(tmp_path: Path) -> None:
    cache, remote = FileCache(tmp_path / "cache", 30), Remote()
    for name in "abcab":
        assert remote.use(cache, name) == name.encode().ljust(10)
    assert remote.filled == ["a", "b", "c"]
    remote.use(cache, "d")
    assert names(tmp_path / "cache") == {"a", "b", "d"}
    assert cache.size_bytes == 30
    remote.use(cache, "c")
    assert remote.filled == ["a", "b", "c", "d", "c"]


def test_a_file_larger_than_the_limit_stays_until_the_next_download(tmp_path: Path) -> None:
    cache, remote = FileCache(tmp_path / "cache", 5), Remote()
    remote.use(cache, "a")
    assert names(tmp_path / "cache") == {"a"}
    remote.use(cache, "b")
    assert names(tmp_path / "cache") == {"b"}


def test_a_failed_download_leaves_nothing_and_names_the_reason(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 30)

    def away(path: Path) -> None:
        path.write_bytes(b"half")
        raise EngineUnavailableError("files s3://a/b: the storage does not respond")

    def full(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(EngineUnavailableError):
        cache.use("a", 10, away, Path.read_bytes)
    with pytest.raises(ArchiveError, match=r"No space left on device.*lower cache_gb"):
        cache.use("a", 10, full, Path.read_bytes)
    assert names(tmp_path / "cache") == set()
    assert Remote().use(cache, "a") == b"a".ljust(10)


def test_a_file_deleted_by_another_process_is_downloaded_again(tmp_path: Path) -> None:
    cache, remote = FileCache(tmp_path / "cache", 30), Remote()
    remote.use(cache, "a")
    (tmp_path / "cache" / "a").unlink()
    assert remote.use(cache, "a") == b"a".ljust(10)
    assert remote.filled == ["a", "a"]
    cache.forget("a")
    remote.use(cache, "a")
    assert len(remote.filled) == 3


def test_partial_files_of_dead_processes_are_deleted_after_a_while(tmp_path: Path) -> None:
    cache, remote = FileCache(tmp_path / "cache", 30), Remote()
    for name, age in ((".old.1.tmp", 4000), (".young.2.tmp", 10)):
        (tmp_path / "cache" / name).write_bytes(b"half")
        os.utime(tmp_path / "cache" / name, (time.time() - age,) * 2)
    remote.use(cache, "a")
    assert names(tmp_path / "cache") == {"a", ".young.2.tmp"}


def test_threads_that_share_a_cache_get_every_file_whole_and_stay_below_the_limit(tmp_path: Path) -> None:
    caches, remote = [FileCache(tmp_path / "cache", 50) for _ in range(2)], Remote()
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.is_set():
            most[0] = max(most[0], caches[0].size_bytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: remote.use(caches[n % 2], f"f{n * 7 % 12}"), range(400)))
    over.set()
    watcher.join()
    assert found == [f"f{n * 7 % 12}".encode().ljust(10) for n in range(400)]
    # Each of two processes may be filling a file that the other does not know of.
    assert most[0] <= 50 + 4 * 10
