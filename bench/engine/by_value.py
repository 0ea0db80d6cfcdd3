"""Runs the archive engine like the peers: its vector store, with the number to filter by in the column of shares."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import VALID_FRACTION
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.segments import Segment
from bandsight.vectors.local.store import LocalVectorStore
from bandsight.vectors.port import Snapshot
from bench.engine import made_up

_SEGMENT, _PROBES = 50_000, 500
# Exclusive maximum of the numbers to filter by.
_NUMBERS = 1_000_000


def by_value(
    vectors: NDArray[np.float16], values: NDArray[np.int64], folder: Path
) -> Iterator[tuple[str, Callable[[NDArray[np.float32], int, int], list[int]]]]:
    """Fill, optimize and query a store; the numbers to filter by are in a column of the tiles."""
    count, dim = vectors.shape
    # In a separate process, so that memory for building does not count as memory for searching.
    with ProcessPoolExecutor(1, get_context("fork")) as builder:
        segments = builder.submit(_build, vectors, values, folder).result()
    store = LocalVectorStore(folder, dim, _none_read, _none_read)
    store.show(_snapshot(segments, count))
    yield "built", lambda *_: []
    highest = int(values.max())

    def ask(query: NDArray[np.float32], k: int, bound: int) -> list[int]:
        # Negated, so that `below` becomes the filter's `at least`.
        least = Property(name=VALID_FRACTION, op=">=", value=1.0 - (bound - 0.5) / _NUMBERS)
        wanted = Filter() if bound > highest else Filter(properties=(least,))
        ids: list[int] = (store.search(query[None], k, wanted)[0][0] - 1).tolist()
        return ids

    yield "as measured", ask


def _build(vectors: NDArray[np.float16], values: NDArray[np.int64], folder: Path) -> tuple[Segment, ...]:
    count, dim = vectors.shape
    store = LocalVectorStore(folder, dim, _none_read, _none_read)
    segments: list[Segment] = []
    for start in range(0, count, _SEGMENT):
        part = vectors[start : start + _SEGMENT].astype(np.float32)
        segments.append(store.upsert(part, _columns(start, values[start : start + _SEGMENT])))
    store.show(_snapshot(tuple(segments), count))
    store.optimize(made_up.MadeUp(dim, count).texts(_PROBES, 1))
    return tuple(segments)


def _snapshot(segments: tuple[Segment, ...], newest: int) -> Snapshot:
    return Snapshot(generation=1, segments=segments, newest=newest, scenes=_scene())


def _columns(start: int, values: NDArray[np.int64]) -> TileColumns:
    count = len(values)
    boxes = np.full((count, 2, 4), np.nan)
    boxes[:, 0] = 0.0, 0.0, 1.0, 1.0
    ids = np.arange(start + 1, start + 1 + count)
    return TileColumns(
        ids=ids,
        scene_ids=np.ones(count, np.int64),
        boxes=boxes,
        values={"valid_fraction": 1.0 - values / _NUMBERS, "cloud_fraction": np.full(count, np.nan)},
    )


def _scene() -> SceneColumns:
    box: NDArray[np.float64] = np.array([[[0.0, 0.0, 1.0, 1.0], [np.nan] * 4]])
    one: NDArray[Any] = np.array(["one"])
    return SceneColumns(
        ids=np.array([1]), times_us=np.array([0]), collections=one, sensors=one, boxes=box, properties=({},)
    )


def _none_read(ids: NDArray[np.int64]) -> Any:
    raise AssertionError(f"{len(ids)} tiles asked of a catalog that the bench does not have")
