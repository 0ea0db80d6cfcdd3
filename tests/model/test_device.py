"""How tiles come to a GPU and vectors back: with streams that only write down what is asked of them."""

import contextlib

import numpy as np
import pytest
import torch

from bandsight.model import load_model
from bandsight.model.preprocess import Preprocess
from bandsight.model.transfer import Cuda, Host, device_of
from tests.model.conftest import TINY

RGB_UM = (0.665, 0.56, 0.49)
TILES = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)


class Streams:
    """Stands in for `torch.cuda` and keeps what happens, in order."""

    def __init__(self, monkeypatch):
        self.said, self.now, self.finished = [], "arithmetic", False
        streams = self

        class Stream:
            def __init__(self, device, name="copies"):
                self.name = name

            def wait_stream(self, other):
                streams.said.append(f"{self.name} waits for {other.name}")

        class Event:
            def __init__(self, *, enable_timing):
                assert enable_timing

            def record(self, stream):
                streams.said.append(f"event in {stream.name}")

            def query(self):
                return streams.finished

            def synchronize(self):
                streams.said.append("wait")

            def elapsed_time(self, other):
                return 1500.0

        @contextlib.contextmanager
        def stream(which):
            before, self.now = self.now, which.name
            yield
            self.now = before

        def pinned(tensor):
            self.said.append("pinned")
            return tensor.clone()

        def to(tensor, device, *, non_blocking):
            self.said.append(f"up in {self.now}, {'meanwhile' if non_blocking else 'at once'}")
            return tensor.clone()

        def copy(tensor, source, *, non_blocking):
            self.said.append(f"down in {self.now}, {'meanwhile' if non_blocking else 'at once'}")
            tensor[:] = source
            return tensor

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream(None, "arithmetic"))
        monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
        monkeypatch.setattr(torch.Tensor, "to", to)
        monkeypatch.setattr(torch.Tensor, "copy_", copy)
        monkeypatch.setattr(
            torch.Tensor, "record_stream", lambda _, used: self.said.append(f"kept until {used.name} is through")
        )


def test_tiles_go_up_beside_the_arithmetic_which_waits_for_them_alone(monkeypatch):
    streams = Streams(monkeypatch)
    tiles = Cuda(torch.device("cpu")).up(TILES)
    assert streams.said == [
        "pinned",
        "up in copies, meanwhile",
        "arithmetic waits for copies",
        "kept until arithmetic is through",
    ]
    np.testing.assert_array_equal(tiles.numpy(), TILES)


def test_vectors_come_down_when_they_are_computed_and_no_earlier_call_waits(monkeypatch):
    streams = Streams(monkeypatch)
    cuda = Cuda(torch.device("cpu"))
    begun = cuda.down(torch.ones(2, 5), cuda.begin())
    assert streams.said == ["event in arithmetic", "pinned", "down in arithmetic, meanwhile", "event in arithmetic"]
    assert not begun.done()
    np.testing.assert_array_equal(begun.result(), np.ones((2, 5), np.float32))
    assert streams.said[-1] == "wait"
    assert begun.seconds() == 1.5
    streams.finished = True
    assert begun.done()


def test_a_cpu_has_everything_at_once():
    host = device_of(torch.device("cpu"))
    assert isinstance(host, Host)
    begun = host.down(host.up(TILES).float(), host.begin())
    assert begun.done()
    assert begun.seconds() >= 0
    np.testing.assert_array_equal(begun.result(), TILES)


def test_values_are_scaled_on_the_device_as_numpy_would():
    prepare = Preprocess(size=16, mean=0.5, std=0.5, interpolation="bicubic", resize_mode="squash")
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    expected = (every.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    np.testing.assert_array_equal(prepare.scaled(torch.from_numpy(prepare.resized(every))).numpy(), expected)


@pytest.mark.parametrize("flip", [np.s_[::-1], np.s_[:, :, ::-1]])
def test_tiles_may_be_views_and_read_only(flip):
    model = load_model(f"local-dir:{TINY}", "cpu", check=False)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 48, 48), np.uint8)
    expected = model.embed_pixels(pixels[flip].copy(), RGB_UM)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(model.embed_pixels(pixels[flip], RGB_UM), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_begun_one_behind_the_other_say_what_the_cpu_says():
    host = load_model(f"local-dir:{TINY}", "cpu", check=False)
    cuda = load_model(f"local-dir:{TINY}", "cuda", check=False)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (16, 3, 48, 48), np.uint8) for _ in range(8)]
    begun = [cuda.begin_pixels(pixels, RGB_UM) for pixels in batches]
    for one, pixels in zip(begun, batches, strict=True):
        # bf16 has 8 bits of mantissa.
        assert (one.result() * host.embed_pixels(pixels, RGB_UM)).sum(axis=1).min() > 0.999
        assert one.seconds() > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiling_on_a_gpu_ends_in_a_sentence_and_the_same_vectors():
    cuda = load_model(f"local-dir:{TINY}", "cuda", check=False)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 3, 48, 48), np.uint8)
    before = cuda.embed_pixels(pixels, RGB_UM)
    assert "torch.compile" in (cuda.speed_up(pixels, RGB_UM) or "")
    assert (before * cuda.embed_pixels(pixels, RGB_UM)).sum(axis=1).min() > 0.999
    # The last batch of a job is smaller.
    assert (before[:3] * cuda.embed_pixels(pixels[:3], RGB_UM)).sum(axis=1).min() > 0.999
