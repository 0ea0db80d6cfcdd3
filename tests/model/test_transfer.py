"""Transfer of tiles and vectors, with fake CUDA streams that record the calls."""

import contextlib

import numpy as np
import pytest
import torch

from bandsight.model import load_model
from bandsight.model.preprocess import Preprocess
from bandsight.model.transfer import CudaTransfer, HostTransfer, transfer_for
from tests.model.conftest import TINY

RGB_UM = (0.665, 0.56, 0.49)
TILES = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)


class Streams:
    """Stands in for `torch.cuda` and records the calls in order."""

    def __init__(self, monkeypatch):
        self.calls, self.now, self.finished = [], "compute", False
        streams = self

        class Stream:
            def __init__(self, device, name="copies"):
                self.name = name

            def wait_stream(self, other):
                streams.calls.append(f"{self.name} waits for {other.name}")

        class Event:
            def __init__(self, *, enable_timing):
                assert enable_timing

            def record(self, stream):
                streams.calls.append(f"event in {stream.name}")

            def query(self):
                return streams.finished

            def synchronize(self):
                streams.calls.append("wait")

            def elapsed_time(self, other):
                return 1500.0

        @contextlib.contextmanager
        def stream(which):
            before, self.now = self.now, which.name
            yield
            self.now = before

        def pinned(tensor):
            self.calls.append("pinned")
            return tensor.clone()

        def to(tensor, device, *, non_blocking):
            self.calls.append(f"upload in {self.now}, {'non-blocking' if non_blocking else 'blocking'}")
            return tensor.clone()

        def copy(tensor, source, *, non_blocking):
            self.calls.append(f"download in {self.now}, {'non-blocking' if non_blocking else 'blocking'}")
            tensor[:] = source
            return tensor

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "stream", stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream(None, "compute"))
        monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
        monkeypatch.setattr(torch.Tensor, "to", to)
        monkeypatch.setattr(torch.Tensor, "copy_", copy)
        monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, used: self.calls.append(f"kept for {used.name}"))


def test_uploads_run_on_their_own_stream_and_the_compute_stream_waits_for_them(monkeypatch):
    streams = Streams(monkeypatch)
    tiles = CudaTransfer(torch.device("cpu")).upload(TILES)
    assert streams.calls == [
        "pinned",
        "upload in copies, non-blocking",
        "compute waits for copies",
        "kept for compute",
    ]
    np.testing.assert_array_equal(tiles.numpy(), TILES)


def test_downloads_wait_only_when_the_result_is_read(monkeypatch):
    streams = Streams(monkeypatch)
    cuda = CudaTransfer(torch.device("cpu"))
    pending = cuda.download(torch.ones(2, 5), cuda.timestamp())
    assert streams.calls == ["event in compute", "pinned", "download in compute, non-blocking", "event in compute"]
    assert not pending.done()
    np.testing.assert_array_equal(pending.result(), np.ones((2, 5), np.float32))
    assert streams.calls[-1] == "wait"
    assert pending.seconds() == 1.5
    streams.finished = True
    assert pending.done()


def test_on_a_cpu_results_are_ready_immediately():
    host = transfer_for(torch.device("cpu"))
    assert isinstance(host, HostTransfer)
    pending = host.download(host.upload(TILES).float(), host.timestamp())
    assert pending.done()
    assert pending.seconds() >= 0
    np.testing.assert_array_equal(pending.result(), TILES)


def test_scaling_on_the_device_equals_numpy():
    preprocess = Preprocess(size=16, mean=0.5, std=0.5, interpolation="bicubic", resize_mode="squash")
    values = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    expected = (values.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    np.testing.assert_array_equal(preprocess.scaled(torch.from_numpy(preprocess.resized(values))).numpy(), expected)


@pytest.mark.parametrize("flip", [np.s_[::-1], np.s_[:, :, ::-1]])
def test_tiles_may_be_views_and_read_only(flip):
    model = load_model(f"local-dir:{TINY}", "cpu", check=False)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 48, 48), np.uint8)
    expected = model.embed_pixels(pixels[flip].copy(), RGB_UM)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(model.embed_pixels(pixels[flip], RGB_UM), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_overlapping_batches_give_the_same_vectors_as_the_cpu():
    host = load_model(f"local-dir:{TINY}", "cpu", check=False)
    cuda = load_model(f"local-dir:{TINY}", "cuda", check=False)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (16, 3, 48, 48), np.uint8) for _ in range(8)]
    pending = [cuda.begin_pixels(pixels, RGB_UM) for pixels in batches]
    for one, pixels in zip(pending, batches, strict=True):
        # bf16 has 8 bits of mantissa.
        assert (one.result() * host.embed_pixels(pixels, RGB_UM)).sum(axis=1).min() > 0.999
        assert one.seconds() > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiling_on_a_gpu_reports_its_outcome_and_keeps_the_vectors():
    cuda = load_model(f"local-dir:{TINY}", "cuda", check=False)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 3, 48, 48), np.uint8)
    before = cuda.embed_pixels(pixels, RGB_UM)
    assert "torch.compile" in (cuda.speed_up(pixels, RGB_UM) or "")
    assert (before * cuda.embed_pixels(pixels, RGB_UM)).sum(axis=1).min() > 0.999
    # The last batch of a job is smaller.
    assert (before[:3] * cuda.embed_pixels(pixels[:3], RGB_UM)).sum(axis=1).min() > 0.999
