"""What indexing on Ray does without a cluster: refusals, queues of calls, and a worker called in this process."""

import pickle
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from bandsight.cli import app
from bandsight.errors import MissingExtraError, SettingsError
from indexer.dispatch import LaneQueues, PendingCall
from indexer.executor import ExecutorError
from indexer.ray_cluster import check_address
from indexer.ray_worker import Call, Worker, WorkerSetup
from indexer.reader import read_tiles
from indexer.source import Source
from indexer.tiling import Tiling, open_tiled
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "nothing answers at"),
        ("nowhere.invalid:6379", "nothing answers at nowhere.invalid:6379"),
        ("6379", "need HOST:PORT, auto or local"),
        ("ray://127.0.0.1:10001", "found a URL; need HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_refused_before_anything_is_created(address, words, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    with pytest.raises(SettingsError, match=f"^--ray-address {address}: ") as refused:
        check_address(address)
    assert words in str(refused.value)
    options = ["--archive", str(tmp_path / "a"), "--executor", "ray", "--ray-address", address]
    done = CliRunner().invoke(app, ["index", str(tmp_path), *options])
    assert isinstance(done.exception, SettingsError)
    assert not (tmp_path / "a").exists()


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"--executor ray needs the package ray.*pip install 'bandsight\[clu"):
        check_address("auto")


def reads(lane, count, tiles=10):
    return [PendingCall(call=Call(function=read_tiles, args=(n,)), lane=lane, tiles=tiles) for n in range(count)]


def numbers(calls):
    return [one.call.args[0] for one in calls]


def test_a_lane_keeps_its_order_and_an_idle_one_steals_the_end_of_the_longest():
    queues = LaneQueues(3)
    for one in [*reads(0, 8), *reads(1, 2)]:
        queues.add(one)
    assert numbers(queues.take_own(0)) == [0, 1, 2, 3]
    assert queues.take_own(2) == []
    assert numbers(queues.steal()) == [6, 7]
    assert numbers(queues.take_own(0)) == [4]
    assert len(queues.drain()) == 3
    assert queues.steal() == queues.take_own(0) == queues.drain() == []


def test_what_is_sent_together_is_bounded_in_tiles():
    queues = LaneQueues(1)
    for one in reads(0, 20, tiles=100):
        queues.add(one)
    assert len(queues.take_own(0)) == len(queues.steal()) == 3


def test_calls_of_a_lost_worker_come_first_and_alone_until_they_are_given_up():
    queues = LaneQueues(1)
    for one in reads(0, 6):
        queues.add(one)
    lost = queues.take_own(0)
    for one in lost:
        one.attempts += 1
    queues.put_back(lost)
    assert numbers(queues.take_own(0)) == [0]
    assert numbers(queues.take_own(0)) == [1]
    assert not lost[0].exhausted
    lost[0].attempts += 2
    assert lost[0].exhausted


def setup(**changed):
    given = {"load": FakeEmbedder, "digest": FakeEmbedder.digest, "workers": 1, "readers": 2, "isolate": False}
    return WorkerSetup(**(given | changed))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"digest": "0" * 64}, "its model fake has other weights (ffffffffffff) than this job's (000000000000)"),
        ({"version": "0.0.1"}, "this job 0.0.1; install the same version on all machines"),
    ],
)
def test_a_worker_with_another_model_or_version_is_refused(changed, words):
    answer = pickle.loads(Worker().start(setup(**changed)))  # noqa: S301  (our own)
    assert isinstance(answer.error, ExecutorError)
    assert words in str(answer.error)
    assert str(answer.error).startswith("Ray worker on ")


class Broken(FakeEmbedder):
    """Its device has failed."""

    def begin_pixels(self, pixels, wavelengths, cells=0):
        raise RuntimeError("CUDA error: unspecified launch failure")


def embedded(tmp_path, model, batch_size):
    """Return what a worker answers to the reads of one scene."""
    write(tmp_path / "a.tif", picture(3, 96, 96), origin=(400_000, 5_800_000))
    source = Source(name="a.tif", hrefs=(str(tmp_path / "a.tif"),))
    scene, plan = open_tiled(source, "key", None, None, Tiling(tile_px=32))
    worker = Worker()
    worker.start(setup(load=lambda: model, batch_size=batch_size))
    options = {"tile_px": 32, "min_valid": 0.5}
    calls = [
        Call(function=read_tiles, args=(scene, [plan.window(number)]), kwargs=options) for number in range(len(plan))
    ]
    try:
        return pickle.loads(worker.run(0, pickle.dumps(calls)))  # noqa: S301  (our own)
    finally:
        worker.close()


def test_a_worker_fills_batches_across_calls_and_returns_vectors_without_pixels(tmp_path):
    model = FakeEmbedder()
    answers, notes = embedded(tmp_path, model, 4)
    tiles = [tile for answer in answers for tile in answer.value]
    assert len(tiles) == 9
    assert all(tile.vector.shape == (16,) and tile.pixels.size == 0 and tile.kept for tile in tiles)
    assert sum(shape[0] for shape in model.batches) == 9
    assert max(shape[0] for shape in model.batches) == 4
    assert len(np.unique([tile.vector for tile in tiles], axis=0)) == 9
    assert notes == []


def test_a_model_that_fails_ends_the_job_not_the_scene(tmp_path):
    answer = embedded(tmp_path, Broken(), 4)
    assert isinstance(answer.error, ExecutorError)
    assert "the model failed (RuntimeError: CUDA error: unspecified launch failure)" in str(answer.error)
