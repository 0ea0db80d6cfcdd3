"""Batches on a device that works on while the job goes on."""

from types import SimpleNamespace

import numpy as np

from bandsight.model.pending import Ready
from indexer.batches import Batches
from indexer.events import Note, TilesEncoded
from tests.fakes import FakeEmbedder

RGB_UM = (0.665, 0.56, 0.49)


class PendingTile:
    """A tile whose vector is asked for."""

    def __init__(self, value, task):
        self.tile = SimpleNamespace(pixels=np.full((3, 32, 32), value, np.uint8))
        self.task = task


class SceneTask:
    def __init__(self):
        self.failed, self.vectors = False, {}

    def embedded(self, one, vector, cells):
        assert cells is None
        self.vectors[id(one)] = vector


class Listener:
    def __init__(self):
        self.passes, self.notes = [], []

    def on(self, event):
        if isinstance(event, TilesEncoded):
            self.passes.append((event.tiles, event.seconds))
        elif isinstance(event, Note):
            self.notes.append(event.text)


class Slow(FakeEmbedder):
    """A model on a device of its own: a batch is done when it is waited for, or when the test says so."""

    def __init__(self, seconds=1.0):
        super().__init__()
        self.under_way, self.most, self.seconds, self.tried = [], 0, seconds, 0

    def begin_pixels(self, pixels, wavelengths, cells=0):
        begun = Away(self, self.embed_pixels(pixels, wavelengths))
        self.under_way.append(begun)
        self.most = max(self.most, len(self.under_way))
        return begun

    def speed_up(self, pixels, wavelengths):
        self.tried += 1
        return f"twice as fast with {len(pixels)}"


class Away:
    def __init__(self, model, vectors):
        self.model, self.vectors, self.finished = model, vectors, False

    def done(self):
        return self.finished

    def result(self):
        self.finished = True
        self.model.under_way.remove(self)
        return self.vectors

    def cells(self):
        assert self.finished

    def seconds(self):
        assert self.finished
        return self.model.seconds


def tiles(task, count):
    return [PendingTile(value, task) for value in range(count)]


def test_the_next_batch_starts_before_the_previous_one_is_awaited():
    model, task, listener = Slow(), SceneTask(), Listener()
    batches = Batches(model, 4, listener)
    pending = tiles(task, 18)
    batches.add(RGB_UM, pending[:4])
    assert (len(model.under_way), task.vectors) == (1, {})
    batches.add(RGB_UM, pending[4:8])
    assert (len(model.under_way), task.vectors) == (2, {})
    batches.add(RGB_UM, pending[8:])
    assert model.most == 2
    batches.flush()
    assert not model.under_way
    assert [count for count, _ in listener.passes] == [4, 4, 4, 4, 2]
    expected = FakeEmbedder().embed_pixels(np.stack([one.tile.pixels for one in pending]), RGB_UM)
    np.testing.assert_array_equal([task.vectors[id(one)] for one in pending], expected)


def test_finished_batches_are_passed_on_without_waiting():
    model, task = Slow(), SceneTask()
    batches = Batches(model, 4, Listener())
    batches.add(RGB_UM, tiles(task, 4))
    model.under_way[0].finished = True
    batches.add(RGB_UM, tiles(task, 1))
    assert len(task.vectors) == 4


def test_a_scene_that_fails_while_the_device_works_affects_no_other():
    model, bad, good = Slow(), SceneTask(), SceneTask()
    batches = Batches(model, 4, Listener())
    batches.add(RGB_UM, tiles(bad, 6))
    bad.failed = True
    batches.add(RGB_UM, tiles(good, 3))
    batches.flush()
    assert len(good.vectors) == 3
    assert model.batches[1][0] == 3


def test_a_long_job_tries_to_optimise_the_model_once_and_reports_the_outcome():
    model, listener = Slow(seconds=70.0), Listener()
    batches = Batches(model, 4, listener)
    task = SceneTask()
    batches.add(RGB_UM, tiles(task, 40))
    batches.flush()
    assert model.tried == 1
    assert listener.notes == ["twice as fast with 4"]
    assert len(task.vectors) == 40


def test_a_short_job_does_not_try_to_optimise_the_model():
    model = Slow(seconds=1.0)
    batches = Batches(model, 4, Listener())
    batches.add(RGB_UM, tiles(SceneTask(), 40))
    batches.flush()
    assert model.tried == 0


def test_too_little_memory_is_reported(monkeypatch):
    model, listener, task = FakeEmbedder(), Listener(), SceneTask()
    begin = model.begin_pixels

    def cramped(pixels, wavelengths, cells=0):
        if len(pixels) > 3:
            raise MemoryError
        return begin(pixels, wavelengths, cells)

    monkeypatch.setattr(model, "begin_pixels", cramped)
    batches = Batches(model, 8, listener)
    batches.add(RGB_UM, tiles(task, 8))
    batches.flush()
    assert listener.notes == [
        "out of memory with 8 tiles per batch; reduced to 4",
        "out of memory with 4 tiles per batch; reduced to 2",
    ]
    assert len(task.vectors) == 8


def test_vectors_that_are_ready_are_passed_on_immediately():
    task = SceneTask()
    batches = Batches(FakeEmbedder(), 4, Listener())
    batches.add(RGB_UM, tiles(task, 4))
    assert len(task.vectors) == 4
    assert Ready(np.ones((1, 2), np.float32)).done()
