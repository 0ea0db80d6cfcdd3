"""The derived FAISS index: inverted lists over 8-bit codes, wide enough for a recall that was measured."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ArchiveError
from bandsight.vectors.durable import cannot_write, name_durably, write_durably

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
_FILE, _FACTS = "ivf.faiss", "ivf.json"
_VERSION = 1
# Fewer rows than this are scanned exactly in a few milliseconds.
_WORTH_IT = 100_000
_TRAIN_ROWS, _TEST_QUERIES, _TARGET = 200_000, 200, 0.99
# Candidates rescored on raw vectors for each hit wanted: 8-bit codes misplace neighbours by a few ranks.
_RESCORE = 4

Rows = tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.bool_]]
"""Ids and vectors of a segment, and which of them live."""


@dataclass(frozen=True, slots=True)
class IvfIndex:
    """A trained index and what it covers."""

    faiss_index: Any
    up_to: int
    """It holds every tile up to this id that lived when it was built; ids are never used twice."""
    nprobe: int
    """Lists visited, as measured without filter."""
    figures: dict[str, Any]
    """Kind, size, width and measured recall."""

    def candidates(self, query: NDArray[np.float32], k: int, allowed: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return likely neighbours among the allowed ids; wider, the fewer of all are allowed."""
        total = self.faiss_index.ntotal
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
    total = sum(int(alive.sum()) for _, _, alive in parts)
    if total < _WORTH_IT:
        return None
    rng = np.random.default_rng(0)
    share = min(1.0, _TRAIN_ROWS / total)
    sample = np.concatenate([_some(rows, alive, share, rng) for _, rows, alive in parts])
    lists = int(4 * np.sqrt(total))
    index = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    for ids, rows, alive in parts:
        living = np.flatnonzero(alive)
        for start in range(0, len(living), 1 << 16):
            chosen = living[start : start + (1 << 16)]
            index.add_with_ids(rows[chosen].astype(np.float32), ids[chosen])
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
    up_to = int(parts[-1][0][-1])
    save_index(folder, index, {"figures": figures, "up_to": up_to})
    return IvfIndex(index, up_to, nprobe, figures)


def save_index(folder: Path, index: Any, facts: dict[str, Any]) -> None:
    """Write an index and then the facts that make it valid: its checksum, and their own.

    Raises:
        ArchiveError: The disk is full, or does not let us.
    """
    path = folder / _FILE
    temporary = folder / f".{_FILE}.tmp"
    try:
        faiss.write_index(index, str(temporary))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        facts = {"format_version": _VERSION, "sha256": _sha256(temporary), **facts}
        (folder / _FACTS).unlink(missing_ok=True)
        name_durably(temporary, path)
    except RuntimeError as error:
        raise ArchiveError(f"{path}: cannot be written ({error}); the archive works without it, make room") from error
    except OSError as error:
        raise cannot_write(path, error) from error
    write_durably(folder / _FACTS, [json.dumps({"checksum": _facts_checksum(facts), **facts}, indent=1).encode()])


def load_index(folder: Path, newest: int) -> IvfIndex | None:
    """Open the saved index, or None when there is none, it is damaged, or it holds tiles newer than the newest."""
    problem, facts = index_problem(folder)
    if facts is None or problem or facts["up_to"] > newest:
        return None
    index = faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_MMAP_IFC)
    return IvfIndex(index, int(facts["up_to"]), int(facts["figures"]["nprobe"]), facts["figures"])


def index_problem(folder: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Return what is wrong with the saved index, and its facts; neither when there is none."""
    if not (folder / _FACTS).exists() and not (folder / _FILE).exists():
        return None, None
    try:
        facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
        checksum = facts.pop("checksum")
        if checksum != _facts_checksum(facts):
            return f"index/{_FACTS}: does not match its checksum; run: bandsight repair, then optimize", None
        if facts["format_version"] != _VERSION:
            return f"index/{_FACTS}: format version {facts['format_version']}; run: bandsight optimize", None
        if facts["sha256"] != _sha256(folder / _FILE):
            return f"index/{_FILE}: does not match its checksum; run: bandsight repair, then optimize", None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"index/{_FACTS}: cannot be read ({error}); run: bandsight repair, then optimize", None
    return None, facts


def drop_index(folder: Path) -> None:
    """Delete the saved index."""
    for name in (_FACTS, _FILE):
        (folder / name).unlink(missing_ok=True)


def copy_index(folder: Path, target: Path) -> None:
    """Copy the saved index if it is whole, also when another takes its place meanwhile."""
    target.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        for name in (_FILE, _FACTS):
            shutil.copyfile(folder / name, target / name)
    if index_problem(target)[1] is None:
        drop_index(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts_checksum(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _some(
    rows: NDArray[np.float16], alive: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    chosen = np.flatnonzero(alive & (rng.random(len(rows)) < share))
    return rows[chosen].astype(np.float32)


def _exact(parts: Sequence[Rows], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    ids, scores = [], []
    for part_ids, rows, alive in parts:
        living = np.flatnonzero(alive)
        for start in range(0, len(living), 1 << 16):
            chosen = living[start : start + (1 << 16)]
            chunk = rows[chosen].astype(np.float32)
            found, at = faiss.knn(queries, chunk, min(k, len(chunk)), metric=faiss.METRIC_INNER_PRODUCT)
            ids.append(part_ids[chosen[at]])
            scores.append(found)
    all_ids, all_scores = np.concatenate(ids, axis=1), np.concatenate(scores, axis=1)
    best = np.argsort(-all_scores, axis=1)[:, :k]
    return np.take_along_axis(all_ids, best, axis=1)
