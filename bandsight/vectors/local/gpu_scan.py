"""Exact search on a GPU: all rows in half precision in its memory, scored by matrix products."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.scan import SLACK, slack
from bandsight.vectors.local.segments import OpenSegment
from bandsight.vectors.scores import Ranked, best, raw_scores

if TYPE_CHECKING:
    import torch

# Its type hints lack what only some builds have.
_faiss: Any = faiss
# Float16 rows are multiplied in float32 portions of so many rows: 32 Ki × 1152 × 4 bytes = 150 MB.
_CHUNK = 1 << 15
# Left free for the portions, the scores, and the model that may share the device.
_SPARE_BYTES = 2 << 30
_log = logging.getLogger(__name__)


def device_for(rows: int, dim: int) -> str | None:
    """Return the device that rows of float16 fit into; None without one, or without room.

    The one place where it is decided whether searches run on a GPU.
    """
    # FAISS tells it at once; importing torch takes seconds, and nothing but a GPU needs it here.
    if not getattr(_faiss, "get_num_gpus", int)():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    needed = 2 * rows * dim + _SPARE_BYTES
    if needed > free:
        _log.info("%d vectors need %d bytes of the GPU, %d are free; searched on the CPU", rows, needed, free)
        return None
    return "cuda"


class GpuRows:
    """The rows of open segments on a device."""

    def __init__(self, device: str, values: "Mapping[str, torch.Tensor]", files: Sequence[OpenSegment]) -> None:
        """Keep what `load` copied."""
        self._device, self.values, self._files = device, values, files

    def scan(
        self, masks: Sequence[NDArray[np.bool_]], survivors: int, queries: NDArray[np.float32], k: int
    ) -> list[Ranked] | None:
        """Return the k best rows of each query, None (and a line in the log) when the device's memory does not do.

        Args:
            masks: Which rows of each segment count.
            survivors: How many do.
            queries: Shape (q, dim).
            k: At most the number of survivors.
        """
        import torch

        try:
            return [self._best(masks, survivors, query, k) for query in queries]
        except torch.OutOfMemoryError as error:
            _log.warning("the GPU's memory did not do for a search, done on the CPU: %s", error)
            torch.cuda.empty_cache()
            return None

    def _best(self, masks: Sequence[NDArray[np.bool_]], survivors: int, query: NDArray[np.float32], k: int) -> Ranked:
        """Propose in float32 every row that may be among the best; raw scores decide, as in the scan on the CPU."""
        fetch = min(k + SLACK, survivors)
        while True:
            scores, parts, rows = self._propose(masks, query, fetch)
            floor = scores[k - 1] - slack(query)
            near = scores >= floor
            if fetch == survivors or not near.all():
                break
            # So many near ties that some may have been cut off.
            fetch = min(2 * fetch, survivors)
        ids, exact = [], []
        for number in np.unique(parts[near]):
            file, chosen = self._files[number], rows[near & (parts == number)]
            ids.append(file.ids_of(chosen))
            exact.append(raw_scores(file.sound(chosen), query))
        return best(np.concatenate(ids), np.concatenate(exact), k)

    def _propose(
        self, masks: Sequence[NDArray[np.bool_]], query: NDArray[np.float32], fetch: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Return scores, segments and rows of the best, best first, each of shape (fetch,)."""
        import torch

        asked = torch.from_numpy(query).to(self._device)
        scores, places, parts = [], [], []
        with torch.inference_mode():
            for number, (file, mask) in enumerate(zip(self._files, masks, strict=True)):
                if not mask.any():
                    continue
                values = self.values[file.name]
                own = torch.cat(
                    [values[start : start + _CHUNK].float() @ asked for start in range(0, len(mask), _CHUNK)]
                )
                own.masked_fill_(~torch.from_numpy(mask).to(self._device), -torch.inf)
                top, at = own.topk(min(fetch, int(np.count_nonzero(mask))))
                scores.append(top)
                places.append(at)
                parts.append(torch.full_like(at, number))
            top, chosen = torch.cat(scores).topk(fetch)
            place, part = torch.cat(places)[chosen], torch.cat(parts)[chosen]
        return top.cpu().numpy(), part.cpu().numpy(), place.cpu().numpy()


def load(files: Sequence[OpenSegment], device: str | None, before: GpuRows | None) -> GpuRows | None:
    """Return segments on a device, those that are there already as they are.

    None without a device, or (and a line in the log) when its memory does not do.
    """
    if device is None or not files:
        return None
    import torch

    there = before.values if before else {}
    try:
        values = {
            file.name: there[file.name] if file.name in there else torch.from_numpy(np.array(file.rows)).to(device)
            for file in files
        }
    except torch.OutOfMemoryError as error:
        _log.warning("the GPU's memory did not do for the vectors, searched on the CPU: %s", error)
        torch.cuda.empty_cache()
        return None
    return GpuRows(device, values, files)
