"""A place to run indexing is one small class; each of them keeps the same contract, also one on a cluster."""

import pickle
import threading
import time
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest

from bandsight.archive import ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.attributes.filters import Filter
from bandsight.errors import SceneError
from indexer.executor import LocalExecutor
from indexer.pipeline import index
from indexer.reader import read_tiles
from indexer.reader_pool import InlineReader, ProcessReader
from tests.cluster.ray_jobs import ray_executor
from tests.cluster.ray_nodes import wait_until
from tests.indexer.conftest import identity
from tests.rasters import picture, write


class PickledExecutor:
    """Runs each call at once, from bytes to bytes, and remembers which lanes it used."""

    lanes, ahead = 3, 6

    def __init__(self):
        self.used, self.closed = [], False

    def submit(self, lane, function, *args, **kwargs):
        self.used.append(lane % self.lanes)
        future = Future()
        try:
            call, given, named = pickle.loads(pickle.dumps((function, args, kwargs)))  # noqa: S301  (our own)
            future.set_result(pickle.loads(pickle.dumps(call(*given, **named))))  # noqa: S301  (our own)
        except Exception as error:  # noqa: BLE001  (raised by the future)
            future.set_exception(error)
        return future

    def read_tiles(self, lane, scene, windows, **options):
        return self.submit(lane, read_tiles, scene, windows, **options)

    def close(self):
        self.closed = True


def local(request):
    return LocalExecutor(2, InlineReader())


def isolated(request):
    return LocalExecutor(2, ProcessReader(["/"]))


def on_ray(request):
    return ray_executor(request.getfixturevalue("ray_cluster").address)


EXECUTORS = [local, isolated, pytest.param(on_ray, marks=pytest.mark.cluster)]


@pytest.fixture(params=EXECUTORS)
def executor(request):
    made = request.param(request)
    yield made
    made.close()


def contents(archive):
    """Return what an archive holds, but for ids: each tile's scene, place and vector."""
    ids = archive.tile_ids(Filter()).tolist()
    names = {scene.id: scene.href for scene in archive.scenes()}
    tiles = archive.tiles_by_id(ids)
    order = sorted(ids, key=lambda one: (names[tiles[one].scene_id], tiles[one].cell, tiles[one].scale))
    rows = [(names[tiles[one].scene_id], tiles[one].cell, tiles[one].valid_fraction) for one in order]
    return rows, archive.vectors(order)


def assert_same(one, other):
    (rows, vectors), (others, expected) = contents(one), contents(other)
    assert rows == others
    assert len(set(rows)) == len(rows) > 0
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert verify(one, full=True) == []


def scenes_in(folder, count=3, side=96):
    for number in range(count):
        write(
            folder / f"{number}.tif", picture(3, side, side, seed=number), origin=(400_000 + 5000 * number, 5_800_000)
        )
    (folder / "broken.tif").write_bytes(b"II*\0 no raster")
    return folder


def test_every_executor_gives_the_same_tiles_and_vectors(tmp_path, archive, encoder, executor):
    folder = scenes_in(tmp_path / "in")
    summary = index([folder], archive=archive, model=encoder, executor=executor)
    assert [name for name, _ in summary.failed] == ["broken.tif"]
    with ArchiveWriter.create(tmp_path / "other", identity(encoder)) as other:
        pickled = PickledExecutor()
        assert index([folder], archive=other, model=encoder, executor=pickled).tiles == summary.tiles > 0
        assert pickled.closed
        assert set(pickled.used) == {0, 1, 2}
        assert_same(archive, other)
        assert [reason for _, reason, _ in archive.jobs.failures()] == [r for _, r, _ in other.jobs.failures()]


def fail(text):
    raise SceneError(text)


def test_results_and_errors_come_out_of_futures_and_lanes_run_side_by_side(executor):
    assert executor.lanes == 2
    assert executor.ahead >= executor.lanes
    results = [executor.submit(lane, pow, 2, lane) for lane in range(20)]
    errors = [executor.submit(lane, fail, f"scene {lane}") for lane in range(3)]
    assert [one.result(120) for one in results] == [2**lane for lane in range(20)]
    for lane, one in enumerate(errors):
        with pytest.raises(SceneError, match=f"scene {lane}"):
            one.result(120)
    # On a cluster, one worker may begin later than the other.
    assert wait_until(lambda: seconds_of(executor, 2, 1.5) < 2.9)


def seconds_of(executor, calls, seconds):
    began = time.monotonic()
    for one in [executor.submit(lane, time.sleep, seconds) for lane in range(calls)]:
        one.result(120)
    return time.monotonic() - began


def test_calls_that_have_not_started_are_dropped_on_close(executor):
    executor.submit(0, pow, 1, 1).result(120)
    waiting = [executor.submit(lane, time.sleep, 0.5) for lane in range(400)]
    began = time.monotonic()
    threading.Thread(target=executor.close).start()
    with pytest.raises(CancelledError):
        waiting[-1].result(60)
    assert time.monotonic() - began < 30
