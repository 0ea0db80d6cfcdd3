"""Copies tiles to a model's device and vectors back; on CUDA, concurrently with computation."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bandsight.model.pending import PendingEmbeddings, Ready


class Transfer(Protocol):
    """Copies between host memory and a model's device."""

    def timestamp(self) -> Any:
        """Return the start of a computation, for `download`."""

    def upload(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return tiles as a tensor on the device. Computations with the tensor wait for the copy."""

    def download(self, vectors: Tensor, start: Any, cells: Tensor | None = None) -> PendingEmbeddings:
        """Start to copy vectors to host memory.

        Args:
            vectors: Vectors on the device.
            start: Timestamp from before their computation.
            cells: Vectors of cells on the device.
        """


class HostTransfer:
    """No copies: the model runs on the CPU."""

    def timestamp(self) -> float:
        """Return the time."""
        return time.perf_counter()

    def upload(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return a tensor that shares the memory of the array."""
        return torch.from_numpy(pixels)

    def download(self, vectors: Tensor, start: float, cells: Tensor | None = None) -> Ready:
        """Return arrays that share the memory of the tensors."""
        return Ready(vectors.numpy(), time.perf_counter() - start, None if cells is None else cells.numpy())


class CudaTransfer:
    """Copies through pinned memory. Uploads run on a separate stream, concurrently with the compute stream.

    PyTorch does not reuse pinned or device memory before the streams that use it have finished (pytorch.org, "CUDA
    semantics", "Use pinned memory buffers").
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._copies = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def timestamp(self) -> Any:
        """Return an event in the compute stream."""
        return self._event()

    def upload(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Copy tiles while the compute stream works on earlier batches."""
        pinned = torch.from_numpy(pixels).pin_memory()
        compute = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            tiles = pinned.to(self._device, non_blocking=True)
        compute.wait_stream(self._copies)
        tiles.record_stream(compute)
        return tiles

    def download(self, vectors: Tensor, start: Any, cells: Tensor | None = None) -> "_CudaEmbeddings":
        """Return vectors that may still be in computation."""
        parts = None if cells is None else _to_host(cells)
        return _CudaEmbeddings(_to_host(vectors), parts, start, self._event())

    def _event(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event


def _to_host(vectors: Tensor) -> Tensor:
    """Return pinned memory that vectors are being copied to."""
    host = torch.empty(vectors.shape, dtype=vectors.dtype).pin_memory()
    host.copy_(vectors, non_blocking=True)
    return host


@dataclass(frozen=True, slots=True)
class _CudaEmbeddings:
    """Vectors that a GPU computes and copies to pinned memory."""

    host: Tensor
    parts: Tensor | None
    start: Any
    end: Any

    def done(self) -> bool:
        return bool(self.end.query())

    def result(self) -> NDArray[np.float32]:
        self.end.synchronize()
        # Copy, because pinned memory is scarce.
        return self.host.numpy().copy()

    def cells(self) -> NDArray[np.float32] | None:
        self.end.synchronize()
        return None if self.parts is None else self.parts.numpy().copy()

    def seconds(self) -> float:
        self.end.synchronize()
        return float(self.start.elapsed_time(self.end)) / 1000


def transfer_for(device: torch.device) -> Transfer:
    """Return the transfer for a torch device."""
    return CudaTransfer(device) if device.type == "cuda" else HostTransfer()
