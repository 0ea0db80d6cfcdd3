"""Measures the vector store against an exact FAISS scan of the same rows in the same run.

    python -m bench.vectors --rows 200000 --dim 768 --out vectors.json

The vectors are made up but shaped like real ones: image vectors lie on a cone around one direction, in clusters of
uneven size, each with its own spread; sentence vectors lie on another cone, with a weaker echo of a cluster in them.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.filters import Filter
from bandsight.geo.box import LonLatBox
from bandsight.vectors.columns import SceneColumns, TileColumns
from bandsight.vectors.faiss_store import FaissStore
from bandsight.vectors.protocol import Segment, Snapshot

_SEGMENT, _SCENES, _QUERIES, _K = 50_000, 1000, 100, 10
# Widths of a box, in degrees of longitude, that let about this share of the rows pass.
_SHARES = (1.0, 0.1, 0.01, 0.001, 0.0001)


def main() -> None:
    """Fill a store, build its index, and compare it with an exact scan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--folder", type=Path, default=None, help="where the store is made for the time of the run")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        said = json.dumps(run(Path(folder), args.rows, args.dim), indent=1)
    print(said)
    if args.out:
        args.out.write_text(said + "\n")


def run(folder: Path, rows: int, dim: int) -> dict[str, Any]:
    """Return all figures of one size."""
    made = MadeUp(dim, rows)
    store = FaissStore(folder, dim, _no_catalog, _no_footprints)
    segments: list[Segment] = []
    began = time.monotonic()
    for first in range(1, rows + 1, _SEGMENT):
        count = min(_SEGMENT, rows + 1 - first)
        segments.append(store.upsert(made.images(count, first), columns(first, count)))
    written = time.monotonic() - began
    snapshot = Snapshot(generation=1, segments=tuple(segments), newest=rows, scenes=scenes())
    store.show(snapshot)
    queries = {"image": made.images(_QUERIES, rows + 1), "text": made.texts(_QUERIES, 2)}
    began = time.monotonic()
    figures = store.optimize(made.texts(300, 1))
    built = time.monotonic() - began
    del store
    before = _resident()
    began = time.monotonic()
    store = FaissStore(folder, dim, _no_catalog, _no_footprints)
    store.show(snapshot)
    store.search(queries["image"][:1], _K, Filter())
    opened = time.monotonic() - began
    for vectors in queries.values():
        store.search(vectors, _K, Filter())
    grown = _resident() - before
    flat = faiss.IndexFlatIP(dim)
    for one in segments:
        flat.add(store.get(range(one.first_id, one.last_id + 1)))
    report: dict[str, Any] = {
        "rows": rows,
        "dim": dim,
        "threads": faiss.omp_get_max_threads(),
        "write_s": round(written, 1),
        "optimize_s": round(built, 1),
        "index": figures,
        "open_and_first_answer_s": round(opened, 3),
        "resident_bytes_a_vector": round(grown / rows, 1),
        "unfiltered": {},
        "filtered": {},
    }
    for kind, vectors in queries.items():
        report["unfiltered"][kind] = _compare(store, flat, vectors)
    everything = report["unfiltered"]["image"]["ms"]
    for share in _SHARES:
        wanted = Filter(boxes=(LonLatBox(west=-180, south=-90, east=-180 + 360 * share, north=90),))
        for kind, vectors in queries.items():
            name = f"{share:g} {kind}"
            report["filtered"][name] = _filtered(store, vectors, wanted) | {"of_unfiltered": 0.0}
            report["filtered"][name]["of_unfiltered"] = round(report["filtered"][name]["ms"] / everything, 2)
    return report


def columns(first: int, count: int) -> TileColumns:
    """Return tiles strewn evenly over the world, each a hundredth of a degree wide."""
    rng = np.random.default_rng(first)
    boxes = np.full((count, 2, 4), np.nan)
    west, south = rng.uniform(-180, 179.98, count), rng.uniform(-80, 80, count)
    boxes[:, 0] = np.stack([west, south, west + 0.01, south + 0.01], axis=1)
    return TileColumns(
        ids=np.arange(first, first + count),
        scene_ids=rng.integers(1, _SCENES + 1, count),
        boxes=boxes,
        valid_fraction=np.ones(count),
        cloud_fraction=np.full(count, np.nan),
    )


def scenes() -> SceneColumns:
    """Return a thousand scenes, one a day."""
    ids = np.arange(1, _SCENES + 1)
    return SceneColumns(
        ids=ids,
        times_us=ids * 86_400_000_000,
        collections=np.array([f"c{i % 3}" for i in ids]),
        sensors=np.array([f"s{i % 2}" for i in ids]),
        boxes=np.tile(np.array([[0.0, 0.0, 1.0, 1.0], [np.nan] * 4]), (len(ids), 1, 1)),
        properties=tuple({} for _ in ids),
    )


class MadeUp:
    """Draws image and sentence vectors of one made-up model."""

    def __init__(self, dim: int, rows: int) -> None:
        rng = np.random.default_rng(0)
        self._dim, count = dim, max(50, rows // 200)
        self._cones = rng.normal(size=(2, dim)) * 1.5
        self._centres = rng.normal(size=(count, dim)).astype(np.float32)
        share = rng.pareto(1.2, count) + 0.1
        self._share = share / share.sum()
        self._spread = rng.uniform(0.4, 1.2, count).astype(np.float32)

    def images(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return unit vectors (count, dim)."""
        rng = np.random.default_rng(seed)
        own = rng.choice(len(self._centres), count, p=self._share)
        noise = rng.standard_normal((count, self._dim), np.float32) * self._spread[own, None]
        return _unit(self._cones[0].astype(np.float32) + self._centres[own] + noise)

    def texts(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return unit vectors (count, dim) on the other cone."""
        rng = np.random.default_rng(seed)
        own = rng.choice(len(self._centres), count)
        noise = rng.standard_normal((count, self._dim), np.float32) * 0.7
        return _unit(self._cones[1].astype(np.float32) + 0.5 * self._centres[own] + noise)


def _compare(store: FaissStore, flat: Any, vectors: NDArray[np.float32]) -> dict[str, float]:
    """Return milliseconds a query, one at a time and in turns with the exact scan, and the recall."""
    mine: list[float] = []
    exact: list[float] = []
    hits = 0
    for query in vectors:
        found, ms = _timed(lambda q=query: store.search(q[None], _K, Filter()))  # type: ignore[misc]
        mine.append(ms)
        (_, true), ms = _timed(lambda q=query: flat.search(q[None], _K))  # type: ignore[misc]
        exact.append(ms)
        hits += len({*found[0][0].tolist()} & {*(true[0] + 1).tolist()})
    return {
        "ms": round(statistics.median(mine), 2),
        "exact_ms": round(statistics.median(exact), 2),
        "times_as_fast": round(statistics.median(exact) / statistics.median(mine), 1),
        "recall_at_10": round(hits / (_K * len(vectors)), 4),
    }


def _filtered(store: FaissStore, vectors: NDArray[np.float32], wanted: Filter) -> dict[str, float]:
    times: list[float] = []
    hits = wished = 0
    for query in vectors[: _QUERIES // 2]:
        found, ms = _timed(lambda q=query: store.search(q[None], _K, wanted))  # type: ignore[misc]
        times.append(ms)
        true = store.search(query[None], _K, wanted, exact=True)[0][0]
        hits += len({*found[0][0].tolist()} & {*true.tolist()})
        wished += len(true)
    return {"ms": round(statistics.median(times), 2), "recall_at_10": round(hits / max(wished, 1), 4)}


def _timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return ask(), (time.perf_counter() - began) * 1000


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _no_catalog(ids: NDArray[np.int64]) -> TileColumns:
    raise AssertionError(f"columns of {len(ids)} tiles asked of a catalog that the bench does not have")


def _no_footprints(ids: NDArray[np.int64]) -> NDArray[np.object_]:
    raise AssertionError(f"footprints of {len(ids)} tiles asked of a catalog that the bench does not have")


if __name__ == "__main__":
    main()
