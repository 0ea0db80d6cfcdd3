"""Queries an archive and an exact FAISS scan of the same rows, and compares results, times and memory."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.search.ranking import nearest
from bench.engine import made_up
from bench.engine.fill import resident, strip

QUERIES, K = 200, 10
SHARES = (1.0, 0.1, 0.01, 0.001, 0.0001)
# Number of queries whose times are measured; recall uses all queries.
_ASKED, _CHUNK = 40, 1 << 16
Queries = dict[str, NDArray[np.float32]]


def compare(archive: Path, vectors: Path, rows: int, queries: Queries) -> dict[str, Any]:
    """Return times and recall compared with FAISS's `IndexFlatIP`, without filters and with filters of several shares.

    Both run alternately for every timed query; the result is the median of the ratios.
    """
    flat = _flat(vectors, rows)
    report: dict[str, Any] = {"threads": faiss.omp_get_max_threads(), "unfiltered": {}, "filtered": {}}
    with Archive.open(archive) as opened:
        wests = _wests(opened, rows)
        for kind, asked in queries.items():
            report["unfiltered"][kind] = _unfiltered(opened, flat, asked)
        del flat
        scores = {kind: _scores(vectors, rows, asked) for kind, asked in queries.items()}
        for share in SHARES:
            wanted = strip(share)
            inside = np.flatnonzero(wests <= -180 + 360 * share)
            said: dict[str, Any] = {"passing": len(inside), **_filter_alone(opened, wanted)}
            for kind, asked in queries.items():
                best = np.argpartition(-scores[kind][:, inside], min(K, len(inside)) - 1, axis=1)[:, :K]
                truth = inside[best] + 1
                said[kind] = _filtered(opened, asked, wanted, truth)
            report["filtered"][f"{100 * share:g}%"] = said
    return report


def opening(archive: Path, queries: Queries) -> dict[str, Any]:
    """Return the times of opening and of the first search, and the memory of the process afterwards."""
    before = resident([])["own"]
    wall, cpu = time.perf_counter(), time.process_time()
    opened = Archive.open(archive)
    at_open = time.perf_counter() - wall
    nearest(opened, queries["image"][:1], K)
    figures: dict[str, Any] = {
        "open_wall_s": round(at_open, 3),
        "open_and_first_answer_wall_s": round(time.perf_counter() - wall, 3),
        "open_and_first_answer_cpu_s": round(time.process_time() - cpu, 3),
    }
    rows = opened.tile_count
    for vectors in queries.values():
        for query in vectors:
            nearest(opened, query, K)
            nearest(opened, query, K, strip(0.1))
            nearest(opened, query, K, strip(0.001))
    held = resident([archive / "index", archive / "vectors"])
    figures["resident_bytes_a_tile"] = {
        "process": round((held["own"] - before) / rows, 1),
        "index_and_columns": round(held["index"] / rows, 1),
        "sum": round((held["own"] - before + held["index"]) / rows, 1),
        "raw_vectors_in_page_cache": round(held["vectors"] / rows, 1),
    }
    opened.close()
    return figures


def time_queries(archive: Archive, queries: Queries) -> dict[str, float]:
    """Return the median processor time of a query of each kind, ms."""
    return {
        f"{kind}_cpu_ms": round(
            statistics.median(_timed(partial(nearest, archive, q, K))[2] for q in asked[:_ASKED]), 2
        )
        for kind, asked in queries.items()
    }


def given_queries(vectors: Path, texts: Path | None, rows: int) -> Queries:
    """Return real queries: rows that are not in the archive, and sentences."""
    beyond = np.load(vectors, mmap_mode="r")[rows : rows + QUERIES].astype(np.float32)
    made = {"image": beyond}
    if texts is not None:
        made["text"] = np.load(texts)[:QUERIES].astype(np.float32)
    return made


def _unfiltered(archive: Archive, flat: Any, queries: NDArray[np.float32]) -> dict[str, Any]:
    # Before the measurement, so that the rescored rows are in the page cache, as Flat's are in memory.
    recall = _recall(archive, queries, None, flat.search(queries, K)[1] + 1)
    ratios, cpu_ratios, mine, own, exact, exact_cpu = [], [], [], [], [], []
    for query in queries[:_ASKED]:
        _, ms, cpu = _timed(partial(nearest, archive, query, K))
        _, flat_ms, flat_cpu = _timed(partial(flat.search, query[None], K))
        ratios.append(flat_ms / ms)
        cpu_ratios.append(flat_cpu / cpu)
        mine.append(ms)
        own.append(cpu)
        exact.append(flat_ms)
        exact_cpu.append(flat_cpu)
    return {
        "times_as_fast": round(statistics.median(ratios), 1),
        "times_as_fast_cpu": round(statistics.median(cpu_ratios), 1),
        "ms": round(statistics.median(mine), 2),
        "cpu_ms": round(statistics.median(own), 2),
        "flat_ms": round(statistics.median(exact), 2),
        "flat_cpu_ms": round(statistics.median(exact_cpu), 2),
        "recall_at_10": recall,
    }


def _filtered(
    archive: Archive, queries: NDArray[np.float32], wanted: Filter, truth: NDArray[np.int64]
) -> dict[str, Any]:
    recall = _recall(archive, queries, wanted, truth)
    ratios, cpu_ratios, times, cpus = [], [], [], []
    for query in queries[:_ASKED]:
        _, free_ms, free_cpu = _timed(partial(nearest, archive, query, K))
        _, ms, cpu = _timed(partial(nearest, archive, query, K, wanted))
        ratios.append(ms / free_ms)
        cpu_ratios.append(cpu / free_cpu)
        times.append(ms)
        cpus.append(cpu)
    return {
        "of_unfiltered": round(statistics.median(ratios), 2),
        "of_unfiltered_cpu": round(statistics.median(cpu_ratios), 2),
        "ms": round(statistics.median(times), 2),
        "cpu_ms": round(statistics.median(cpus), 2),
        "recall_at_10": recall,
    }


def _recall(
    archive: Archive, queries: NDArray[np.float32], wanted: Filter | None, truth: NDArray[np.int64]
) -> dict[str, float]:
    """Return the share of the true neighbours that are found, with one query at a time, and its error."""
    found = [nearest(archive, query, K, wanted)[0] for query in queries]
    hits = [len({hit.tile.id for hit in one} & {*true.tolist()}) for one, true in zip(found, truth, strict=True)]
    shares = [count / truth.shape[1] for count in hits]
    return {
        "mean": round(statistics.mean(shares), 4),
        "standard_error": round(statistics.stdev(shares) / len(shares) ** 0.5, 4),
    }


def _scores(vectors: Path, rows: int, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every score, shape (queries, rows): the reference for filtered searches."""
    stored = np.load(vectors, mmap_mode="r")
    parts = [
        queries @ stored[start : min(rows, start + _CHUNK)].astype(np.float32).T for start in range(0, rows, _CHUNK)
    ]
    return np.concatenate(parts, axis=1)


def _filter_alone(archive: Archive, wanted: Filter) -> dict[str, float]:
    """Return the time to evaluate filters."""
    times = [_timed(lambda: archive.store.choose(wanted).count)[2] for _ in range(10)]
    return {"filter_alone_cpu_ms": round(statistics.median(times), 2)}


def _wests(archive: Archive, rows: int) -> NDArray[np.float64]:
    """Return the west side of each tile, in the order of ids, as the catalog has it."""
    with archive.database.reading() as catalog:
        found = [west for _, _, west, *_ in catalog.tile_attributes(1, rows)]
    return np.array(found, np.float64)


def _flat(vectors: Path, rows: int) -> Any:
    stored = np.load(vectors, mmap_mode="r")
    flat = faiss.IndexFlatIP(stored.shape[1])
    for start in range(0, rows, _CHUNK):
        flat.add(stored[start : min(rows, start + _CHUNK)].astype(np.float32))
    return flat


def _timed(ask: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, and wall and processor time in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = ask()
    return answer, 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def main(arguments: Sequence[str]) -> None:
    """Measure in a separate process."""
    _, archive, rows, *given = arguments
    with Archive.open(Path(archive)) as opened:
        dim = opened.model.dim
    if given:
        queries = given_queries(Path(given[0]), Path(given[1]) if given[1] != "None" else None, int(rows))
    else:
        queries = made_up.MadeUp(dim, int(rows)).queries(QUERIES)
    print(json.dumps(opening(Path(archive), queries)))


if __name__ == "__main__":
    main(sys.argv[1:])
