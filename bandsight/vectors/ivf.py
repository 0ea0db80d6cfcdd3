"""The derived FAISS index: inverted lists over 8-bit codes, wide enough for a recall that was measured."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
_FILE, _FACTS = "ivf.faiss", "ivf.json"
# Fewer rows than this are scanned exactly in a few milliseconds.
_WORTH_IT = 100_000
_TRAIN_ROWS, _TEST_QUERIES, _TARGET = 200_000, 200, 0.99
# Candidates rescored on raw vectors for each hit wanted: 8-bit codes misplace neighbours by a few ranks.
_RESCORE = 4

Rows = tuple[str, NDArray[np.int64], NDArray[np.float16]]


@dataclass(frozen=True, slots=True)
class IvfIndex:
    """A trained index and what it covers."""

    faiss_index: Any
    segments: frozenset[str]
    """Names of the segments whose rows it holds."""
    nprobe: int
    """Lists visited, as measured without filter."""
    figures: dict[str, Any]
    """Kind, size, width and measured recall."""

    def candidates(
        self, query: NDArray[np.float32], k: int, allowed: NDArray[np.int64], total: int
    ) -> NDArray[np.int64]:
        """Return likely neighbours among the allowed ids; wider, the fewer of the total are allowed."""
        width = min(self.faiss_index.nlist, int(np.ceil(self.nprobe * total / max(len(allowed), 1))))
        params = _faiss.SearchParametersIVF(nprobe=width)
        if len(allowed) < total:
            bitmap = np.zeros(int(allowed.max()) // 8 + 1 if len(allowed) else 1, np.uint8)
            np.bitwise_or.at(bitmap, allowed >> 3, np.uint8(1) << (allowed & 7).astype(np.uint8))
            params.sel = _faiss.IDSelectorBitmap(bitmap)
        _, ids = self.faiss_index.search(query[None], max(_RESCORE * k, 100), params=params)
        return np.asarray(ids[0][ids[0] >= 0], np.int64)


def build_index(folder: Path, parts: Sequence[Rows], dim: int) -> IvfIndex | None:
    """Train, fill, measure and save an index; None when an exact scan is quick enough.

    The width is the smallest power of two whose recall@10 against exact search reaches the target, measured with
    vectors of the archive as queries.
    """
    total = sum(len(ids) for _, ids, _ in parts)
    if total < _WORTH_IT:
        return None
    rng = np.random.default_rng(0)
    share = min(1.0, _TRAIN_ROWS / total)
    sample = np.concatenate([_some(rows, share, rng) for _, _, rows in parts])
    lists = int(4 * np.sqrt(total))
    index = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    for _, ids, rows in parts:
        for start in range(0, len(ids), 1 << 16):
            end = start + (1 << 16)
            index.add_with_ids(rows[start:end].astype(np.float32), ids[start:end])
    queries = sample[rng.choice(len(sample), min(_TEST_QUERIES, len(sample)), replace=False)]
    truth = _exact(parts, queries, 10)
    nprobe, recall = 1, 0.0
    while True:
        _, found = index.search(queries, 10 * _RESCORE, params=_faiss.SearchParametersIVF(nprobe=nprobe))
        recall = float(np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]))
        if recall >= _TARGET or nprobe >= lists:
            break
        nprobe *= 2
    figures = {
        "index": f"IVF{lists},SQ8",
        "rows": total,
        "nprobe": nprobe,
        "recall_at_10_image": round(recall, 4),
    }
    names = [name for name, _, _ in parts]
    temporary = folder / f".{_FILE}.tmp"
    faiss.write_index(index, str(temporary))
    (folder / _FACTS).unlink(missing_ok=True)
    temporary.replace(folder / _FILE)
    (folder / _FACTS).write_text(json.dumps({"figures": figures, "segments": names}))
    return IvfIndex(index, frozenset(names), nprobe, figures)


def load_index(folder: Path, committed: set[str]) -> IvfIndex | None:
    """Open the saved index, or None when there is none that fits what is committed."""
    try:
        facts = json.loads((folder / _FACTS).read_text())
        if not set(facts["segments"]) <= committed:
            return None
        index = faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, ValueError, KeyError, RuntimeError):
        return None
    return IvfIndex(index, frozenset(facts["segments"]), int(facts["figures"]["nprobe"]), facts["figures"])


def _some(rows: NDArray[np.float16], share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    chosen = np.flatnonzero(rng.random(len(rows)) < share)
    return rows[chosen].astype(np.float32)


def _exact(parts: Sequence[Rows], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    ids, scores = [], []
    for _, part_ids, rows in parts:
        for start in range(0, len(part_ids), 1 << 16):
            chunk = rows[start : start + (1 << 16)].astype(np.float32)
            found, at = faiss.knn(queries, chunk, min(k, len(chunk)), metric=faiss.METRIC_INNER_PRODUCT)
            ids.append(part_ids[start + at])
            scores.append(found)
    all_ids, all_scores = np.concatenate(ids, axis=1), np.concatenate(scores, axis=1)
    best = np.argsort(-all_scores, axis=1)[:, :k]
    return np.take_along_axis(all_ids, best, axis=1)
