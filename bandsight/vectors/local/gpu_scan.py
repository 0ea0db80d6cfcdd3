"""Exact search on a GPU: all rows in half precision in its memory, searched by FAISS or, with a filter, by torch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.gpu_faiss import MAX_K, Knn, has_gpu, knn_on_gpu
from bandsight.vectors.local.segments import OpenSegment
from bandsight.vectors.scores import SLACK, Ranked, best, raw_scores, slack

if TYPE_CHECKING:
    import torch

# Rows converted to float32 at a time: 32 Ki × 1152 × 4 bytes = 150 MB.
_CHUNK = 1 << 15
# Memory reserved for these rows, the scores, and a model on the same device.
_SPARE_BYTES = 2 << 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """A device to search rows on instead of the CPU."""

    name: str
    """Torch's name for it: `cuda`, or `cpu` in tests."""
    knn: Knn | None = None
    """Searches all rows; without it, or with a filter, torch is used."""


def device_for(rows: int, dim: int) -> Device | None:
    """Return a device with enough memory for float16 rows, or None.

    Only this function decides whether searches run on a GPU.
    """
    if not has_gpu():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    needed = 2 * rows * dim + _SPARE_BYTES
    if needed > free:
        _log.info("%d vectors need %d bytes of the GPU, %d are free; searched on the CPU", rows, needed, free)
        return None
    return Device("cuda", knn_on_gpu)


class GpuRows:
    """The rows of open segments on a device."""

    def __init__(self, device: Device, values: "Mapping[str, torch.Tensor]", files: Sequence[OpenSegment]) -> None:
        """Initialize; called by `load`."""
        self._device, self.values, self._files = device, values, files

    def scan(
        self, masks: Sequence[NDArray[np.bool_]], survivors: int, queries: NDArray[np.float32], k: int
    ) -> list[Ranked] | None:
        """Return the k best rows for each query; None (with a warning in the log) if the device runs out of memory.

        Args:
            masks: Selected rows of each segment.
            survivors: Number of selected rows.
            queries: Shape (q, dim).
            k: At most the number of selected rows.
        """
        import torch

        try:
            return [self._best(masks, survivors, query, k) for query in queries]
        except torch.OutOfMemoryError as error:
            _log.warning("the GPU ran out of memory during a search, which the CPU does: %s", error)
            torch.cuda.empty_cache()
            return None

    def _best(self, masks: Sequence[NDArray[np.bool_]], survivors: int, query: NDArray[np.float32], k: int) -> Ranked:
        """Propose in float32 every row that may be among the best; raw scores decide, as in a scan on the CPU."""
        fetch = min(k + SLACK, survivors)
        every = all(mask.all() for mask in masks)
        while True:
            found = self._propose_by_faiss(query, fetch) if every else None
            scores, parts, rows, off = found or (*self._propose(masks, query, fetch), slack(query))
            floor = scores[k - 1] - off
            near = scores >= floor
            if fetch == survivors or not near.all():
                break
            # There are so many near ties that some may have been cut off.
            fetch = min(2 * fetch, survivors)
        ids, exact = [], []
        for number in np.unique(parts[near]):
            file, chosen = self._files[number], rows[near & (parts == number)]
            ids.append(file.ids_of(chosen))
            exact.append(raw_scores(file.sound(chosen), query))
        return best(np.concatenate(ids), np.concatenate(exact), k)

    def _propose_by_faiss(
        self, query: NDArray[np.float32], fetch: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], float] | None:
        """Return the result of `_propose` for all rows, and the maximum error of scores; None if torch must do it.

        FAISS rounds the query to half precision. The error of a unit row's score is at most the norm of the rounding
        error, so one of the true k best rows scores at most twice that below the k-th score found.
        """
        knn = self._device.knn
        if knn is None or fetch > MAX_K:
            return None
        half = query.astype(np.float16)
        lost = float(np.linalg.norm(query.astype(np.float64) - half.astype(np.float64)))
        scores, places, parts = [], [], []
        try:
            for number, file in enumerate(self._files):
                values = self.values[file.name]
                top, at = knn(values, half, min(fetch, len(values)))
                scores.append(top)
                places.append(at)
                parts.append(np.full(len(at), number, np.int64))
        except RuntimeError as error:
            _log.warning("FAISS could not search on the GPU, torch does: %s", error)
            self._device = Device(self._device.name)
            return None
        every = np.concatenate(scores)
        best_first = np.argsort(-every, kind="stable")[:fetch]
        # The lengths of float16 rows differ slightly from 1.
        off = 2 * 1.01 * lost + slack(query)
        return every[best_first], np.concatenate(parts)[best_first], np.concatenate(places)[best_first], off

    def _propose(
        self, masks: Sequence[NDArray[np.bool_]], query: NDArray[np.float32], fetch: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Return scores, segments and rows of the best rows, best first, each of shape (fetch,)."""
        import torch

        vector = torch.from_numpy(query).to(self._device.name)
        scores, places, parts = [], [], []
        with torch.inference_mode():
            for number, (file, mask) in enumerate(zip(self._files, masks, strict=True)):
                if not mask.any():
                    continue
                values = self.values[file.name]
                own = torch.cat(
                    [values[start : start + _CHUNK].float() @ vector for start in range(0, len(mask), _CHUNK)]
                )
                own.masked_fill_(~torch.from_numpy(mask).to(self._device.name), -torch.inf)
                top, at = own.topk(min(fetch, int(np.count_nonzero(mask))))
                scores.append(top)
                places.append(at)
                parts.append(torch.full_like(at, number))
            top, chosen = torch.cat(scores).topk(fetch)
            place, part = torch.cat(places)[chosen], torch.cat(parts)[chosen]
        return top.cpu().numpy(), part.cpu().numpy(), place.cpu().numpy()


def load(files: Sequence[OpenSegment], device: Device | None, before: GpuRows | None) -> GpuRows | None:
    """Return segments on a device; those already there are reused.

    Returns None without a device, or (with a warning in the log) if it runs out of memory.
    """
    if device is None or not files:
        return None
    import torch

    there = before.values if before else {}
    try:
        values = {
            file.name: there[file.name] if file.name in there else torch.from_numpy(np.array(file.rows)).to(device.name)
            for file in files
        }
    except torch.OutOfMemoryError as error:
        _log.warning("the GPU ran out of memory for the vectors, which the CPU searches: %s", error)
        torch.cuda.empty_cache()
        return None
    return GpuRows(device, values, files)
