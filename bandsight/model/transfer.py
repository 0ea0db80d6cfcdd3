"""Brings tiles to where a model runs, and vectors back: on CUDA while it computes something else."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bandsight.model.pending import PendingEmbeddings, Ready


class Device(Protocol):
    """Where a model runs."""

    def begin(self) -> Any:
        """Return a mark of now, from which `down` counts."""

    def up(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return tiles as a tensor there; what is computed with it waits for it by itself."""

    def down(self, vectors: Tensor, begun: Any) -> PendingEmbeddings:
        """Return vectors on their way back."""


class Host:
    """A CPU: everything is there already, and done when a call returns."""

    def begin(self) -> float:
        """Return the time."""
        return time.perf_counter()

    def up(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the same memory as a tensor."""
        return torch.from_numpy(pixels)

    def down(self, vectors: Tensor, begun: float) -> Ready:
        """Return the same memory as an array."""
        return Ready(vectors.numpy(), time.perf_counter() - begun)


class Cuda:
    """A GPU: copies go from and to pinned memory, those of tiles on a stream beside that of the arithmetic.

    PyTorch keeps pinned memory and memory on the device from being used anew before the streams that they were handed
    to are through with them (pytorch.org, "CUDA semantics", "Use pinned memory buffers").
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._copies = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def begin(self) -> Any:
        """Return an event in the stream of the arithmetic."""
        return self._mark()

    def up(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return tiles that are still being copied while the arithmetic begun before goes on."""
        pinned = torch.from_numpy(pixels).pin_memory()
        arithmetic = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            tiles = pinned.to(self._device, non_blocking=True)
        arithmetic.wait_stream(self._copies)
        tiles.record_stream(arithmetic)
        return tiles

    def down(self, vectors: Tensor, begun: Any) -> "_Away":
        """Return vectors that are still being computed."""
        host = torch.empty(vectors.shape, dtype=vectors.dtype).pin_memory()
        host.copy_(vectors, non_blocking=True)
        return _Away(host, begun, self._mark())

    def _mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event


@dataclass(frozen=True, slots=True)
class _Away:
    """Vectors on their way from a GPU."""

    host: Tensor
    begun: Any
    ended: Any

    def done(self) -> bool:
        return bool(self.ended.query())

    def result(self) -> NDArray[np.float32]:
        self.ended.synchronize()
        # Away from pinned memory, of which there is not much.
        return self.host.numpy().copy()

    def seconds(self) -> float:
        self.ended.synchronize()
        return float(self.begun.elapsed_time(self.ended)) / 1000


def device_of(where: torch.device) -> Device:
    """Return how tiles come to a torch device."""
    return Cuda(where) if where.type == "cuda" else Host()
