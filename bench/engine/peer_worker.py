"""Builds one engine and asks it, in the engine's own environment: needs nothing but NumPy and that engine.

    python peer_worker.py ENGINE INPUTS FOLDER

Prints one line of JSON. `bench.engine.peers` runs it.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

# Gives (name of the width, function of query, k and bound that returns row numbers).
Ask = Callable[[Any, int, int], "list[int]"]
_GOAL = 0.99
_BATCH = 5_000


def hnswlib(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """M 16, construction width 200; filters are Python functions."""
    import hnswlib as library

    index = library.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=200, M=16)
    index.set_num_threads(1)
    for start in range(0, len(vectors), _BATCH):
        index.add_items(
            vectors[start : start + _BATCH].astype(np.float32), np.arange(start, start + _BATCH)[: len(vectors) - start]
        )
    yield "built", lambda *_: []
    for width in (50, 100, 200, 400, 800, 1600):

        def ask(query: Any, k: int, bound: int, width: int = width) -> list[int]:
            index.set_ef(width)
            passes = None if bound > values.max() else (lambda label: values[label] < bound)
            try:
                ids: list[int] = index.knn_query(query, k, num_threads=1, filter=passes)[0][0].tolist()
            except RuntimeError:
                # "Cannot return the results in a contiguous 2D array": fewer than k were found.
                return []
            return ids

        yield f"ef {width}", ask


def usearch(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """Half precision, connectivity 16; its Python interface has no filters, so more is asked for and sieved."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=128)
    for start in range(0, len(vectors), _BATCH):
        part = vectors[start : start + _BATCH].astype(np.float32)
        index.add(np.arange(start, start + len(part)), part, threads=1)
    yield "built", lambda *_: []
    for width in (64, 128, 256, 512, 1024, 2048):

        def ask(query: Any, k: int, bound: int, width: int = width) -> list[int]:
            index.expansion_search = width
            free = bound > values.max()
            keys = index.search(query, k if free else width, threads=1).keys
            return [int(key) for key in keys if free or values[key] < bound][:k]

        yield f"expansion {width}", ask


def sqlite_vec(vectors: Any, values: Any, folder: Path) -> Iterator[tuple[str, Ask]]:
    """Exact float32 scan, with a metadata column to filter by."""
    import sqlite_vec as library

    # Not every Python's own module can load extensions.
    from pysqlite3 import dbapi2 as sqlite3

    base = sqlite3.connect(folder / "base.sqlite")
    base.enable_load_extension(True)
    library.load(base)
    base.execute(
        f"CREATE VIRTUAL TABLE tiles USING vec0(vector float[{vectors.shape[1]}] distance_metric=cosine, value integer)"
    )
    for start in range(0, len(vectors), _BATCH):
        part = vectors[start : start + _BATCH].astype(np.float32)
        numbered = enumerate(part, start)
        base.executemany(
            "INSERT INTO tiles(rowid, vector, value) VALUES (?, ?, ?)",
            ((n, v.tobytes(), int(values[n])) for n, v in numbered),
        )
        base.commit()
    yield "built", lambda *_: []

    def ask(query: Any, k: int, bound: int) -> list[int]:
        free = "SELECT rowid FROM tiles WHERE vector MATCH ? AND k = ?"
        if bound > values.max():
            said = base.execute(free, (query.tobytes(), k))
        else:
            said = base.execute(f"{free} AND value < ?", (query.tobytes(), k, bound))
        return [row[0] for row in said]

    yield "exact", ask


def lancedb(vectors: Any, values: Any, folder: Path) -> Iterator[tuple[str, Ask]]:
    """IVF-PQ with refinement on the stored vectors, a scalar index on the number, filters before the search."""
    import lancedb as library
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        for start in range(0, len(vectors), _BATCH):
            part = vectors[start : start + _BATCH].astype(np.float32)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), part.shape[1])
            ids = pa.array(np.arange(start, start + len(part)))
            yield pa.RecordBatch.from_arrays(
                [ids, flat, pa.array(values[start : start + len(part)])], names=["id", "vector", "value"]
            )

    first = next(batches())
    table = library.connect(folder).create_table("tiles", pa.RecordBatchReader.from_batches(first.schema, batches()))
    table.create_index(
        metric="dot",
        num_partitions=int(len(vectors) ** 0.5),
        num_sub_vectors=vectors.shape[1] // 8,
        vector_column_name="vector",
    )
    table.create_scalar_index("value")
    yield "built", lambda *_: []
    for lists, refine in ((20, 5), (40, 10), (80, 10), (160, 20), (316, 40)):

        def ask(query: Any, k: int, bound: int, lists: int = lists, refine: int = refine) -> list[int]:
            wanted = table.search(query).metric("dot").limit(k).nprobes(lists).refine_factor(refine).select(["id"])
            if bound <= values.max():
                wanted = wanted.where(f"value < {bound}", prefilter=True)
            ids: list[int] = wanted.to_arrow()["id"].to_pylist()
            return ids

        yield f"nprobes {lists}, refine {refine}", ask


def milvus_lite(vectors: Any, values: Any, folder: Path) -> Iterator[tuple[str, Ask]]:
    """Inverted lists of full vectors, as its documentation names for local files."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / "base.db"))
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    schema.add_field("value", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params={"nlist": int(4 * len(vectors) ** 0.5)})
    client.create_collection("tiles", schema=schema, index_params=index)
    for start in range(0, len(vectors), 1000):
        part = vectors[start : start + 1000].astype(np.float32)
        client.insert(
            "tiles", [{"id": start + n, "vector": v, "value": int(values[start + n])} for n, v in enumerate(part)]
        )
    client.load_collection("tiles")
    yield "built", lambda *_: []
    for lists in (16, 64, 256, 1024):

        def ask(query: Any, k: int, bound: int, lists: int = lists) -> list[int]:
            where = "" if bound > values.max() else f"value < {bound}"
            params = {"metric_type": "IP", "params": {"nprobe": lists}}
            return [
                hit["id"] for hit in client.search("tiles", [query], limit=k, filter=where, search_params=params)[0]
            ]

        yield f"nprobe {lists}", ask


def faiss_ivfpq(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """Product codes of 96 bytes at 384 numbers, rescored on half-precision rows."""
    yield from _faiss_lists(vectors, values, f"IVF{_lists(vectors)},PQ{vectors.shape[1] // 4}x8")


def faiss_rabitq(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """One bit a number after a random turn (RaBitQ), rescored on half-precision rows."""
    yield from _faiss_lists(vectors, values, f"RR{vectors.shape[1]},IVF{_lists(vectors)},RaBitQ")


def _lists(vectors: Any) -> int:
    return int(4 * len(vectors) ** 0.5)


def _faiss_lists(vectors: Any, values: Any, spec: str) -> Iterator[tuple[str, Ask]]:
    import faiss as library

    # Its type hints lack the constructors that its Python wrapper adds.
    faiss: Any = library
    index = faiss.index_factory(vectors.shape[1], f"{spec},Refine(SQfp16)", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (40 * _lists(vectors)))].astype(np.float32))
    for start in range(0, len(vectors), _BATCH):
        index.add(vectors[start : start + _BATCH].astype(np.float32))
    yield "built", lambda *_: []
    for width, more in ((16, 10), (32, 20), (64, 20), (128, 40), (256, 40), (512, 80), (1024, 80)):

        def ask(query: Any, k: int, bound: int, width: int = width, more: int = more) -> list[int]:
            inner: dict[str, Any] = {"nprobe": width}
            if bound <= values.max():
                bits = np.packbits(values < bound, bitorder="little")
                inner["sel"] = faiss.IDSelectorBitmap(bits)
            base = faiss.SearchParametersIVF(**inner)
            if spec.startswith("RR"):
                base = faiss.SearchParametersPreTransform(index_params=base)
            params = faiss.IndexRefineSearchParameters(k_factor=more, base_index_params=base)
            return [int(row) for row in index.search(query[None], k, params=params)[1][0] if row >= 0]

        yield f"nprobe {width}, refine {more}", ask


def faiss_hnsw(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """M 16, construction width 200, half-precision rows; filters sieve while walking the graph."""
    import faiss as library

    faiss: Any = library
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(vectors.shape[1], kind, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.train(vectors[:1000].astype(np.float32))
    for start in range(0, len(vectors), _BATCH):
        index.add(vectors[start : start + _BATCH].astype(np.float32))
    yield "built", lambda *_: []
    for width in (50, 100, 200, 400, 800, 1600):

        def ask(query: Any, k: int, bound: int, width: int = width) -> list[int]:
            inner: dict[str, Any] = {"efSearch": width}
            if bound <= values.max():
                bits = np.packbits(values < bound, bitorder="little")
                inner["sel"] = faiss.IDSelectorBitmap(bits)
            found = index.search(query[None], k, params=faiss.SearchParametersHNSW(**inner))[1][0]
            return [int(row) for row in found if row >= 0]

        yield f"ef {width}", ask


def duckdb(vectors: Any, values: Any, folder: Path) -> Iterator[tuple[str, Ask]]:
    """Its HNSW index (extension VSS) where the extension can be installed, else an exact scan of arrays."""
    import duckdb as library
    import pyarrow as pa

    base = library.connect(str(folder / "base.duckdb"))
    base.execute("SET threads = 1")
    try:
        base.execute("INSTALL vss; LOAD vss; SET hnsw_enable_experimental_persistence = true")
        indexed = True
    except library.Error:
        indexed = False
    dim = vectors.shape[1]
    base.execute(f"CREATE TABLE tiles (id INTEGER, vector FLOAT[{dim}], value INTEGER)")
    for start in range(0, len(vectors), _BATCH):
        values32 = vectors[start : start + _BATCH].astype(np.float32)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values32.reshape(-1)), dim)
        ids = pa.array(np.arange(start, start + len(values32), dtype=np.int32))
        part = pa.table([ids, flat, pa.array(values[start : start + _BATCH])], names=["id", "vector", "value"])
        base.register("part", part)
        base.execute("INSERT INTO tiles SELECT * FROM part")
        base.unregister("part")
    if indexed:
        base.execute("CREATE INDEX graph ON tiles USING HNSW (vector) WITH (metric = 'ip', M = 16)")
    yield "built", lambda *_: []

    def ask(query: Any, k: int, bound: int) -> list[int]:
        where = "" if bound > values.max() else f"WHERE value < {bound}"
        order = f"array_negative_inner_product(vector, ?::FLOAT[{dim}])"
        # Numbers of this bench.
        sql = f"SELECT id FROM tiles {where} ORDER BY {order} LIMIT {k}"  # noqa: S608
        found = base.execute(sql, [query.tolist()])
        return [row[0] for row in found.fetchall()]

    for width in (64, 256, 1024) if indexed else (0,):
        if indexed:
            base.execute(f"SET hnsw_ef_search = {width}")
        yield f"HNSW, ef {width}" if indexed else "exact (no VSS)", ask


def qdrant(vectors: Any, values: Any, _: Path) -> Iterator[tuple[str, Ask]]:
    """Its local mode, which compares every vector with NumPy."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    shape = models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
    client.create_collection("tiles", vectors_config=shape)
    for start in range(0, len(vectors), 1000):
        part = vectors[start : start + 1000].astype(np.float32)
        points = [
            models.PointStruct(id=start + n, vector=v.tolist(), payload={"value": int(values[start + n])})
            for n, v in enumerate(part)
        ]
        client.upsert("tiles", points)
    yield "built", lambda *_: []

    def ask(query: Any, k: int, bound: int) -> list[int]:
        where = None
        if bound <= values.max():
            where = models.Filter(must=[models.FieldCondition(key="value", range=models.Range(lt=bound))])
        found = client.query_points("tiles", query=query.tolist(), query_filter=where, limit=k)
        return [int(point.id) for point in found.points]

    yield "exact", ask


def bandsight(vectors: Any, values: Any, folder: Path) -> Iterator[tuple[str, Ask]]:
    """The archive engine's vector store as it tunes itself."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from bench.engine.by_value import by_value

    yield from by_value(vectors, values, folder)


def main() -> None:
    """Build, then ask at each width."""
    engine, inputs, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    truth = json.loads((inputs / "truth.json").read_text())
    vectors, values = np.load(inputs / "vectors.npy", mmap_mode="r"), np.load(inputs / "values.npy")
    queries = {kind: np.load(inputs / f"{kind}.npy") for kind in truth["kinds"]}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before, cpu, wall = _own_bytes(), _cpu_s(), time.monotonic()
    widths = globals()[engine](vectors, values, folder)
    next(widths)
    report: dict[str, Any] = {
        "build_cpu_s": round(_cpu_s() - cpu, 1),
        "build_wall_s": round(time.monotonic() - wall, 1),
        "disk_bytes_a_row": round(
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / len(vectors), 1
        ),
        "widths": {},
    }
    for name, ask in widths:
        own = report["widths"][name] = {}
        for number, share in enumerate(truth["shares"]):
            for kind, asked in queries.items():
                true = truth["kinds"][kind][number]
                own[f"{100 * share:g}% {kind}"] = _ask(ask, asked, truth["k"], int(share * truth["bound"]), true)
        if min(figures["recall_at_10"] for figures in own.values()) >= _GOAL:
            break
    report["resident_bytes_a_row"] = round((_own_bytes() - before) / len(vectors), 1)
    print(json.dumps(report))


def _ask(ask: Ask, queries: Any, k: int, bound: int, true: list[list[int]]) -> dict[str, float]:
    ask(queries[0], k, bound)
    wall_ms, hits, wished, cpu = [], 0, 0, _cpu_s()
    for query, nearest in zip(queries, true, strict=True):
        wall = time.perf_counter()
        found = ask(query, k, bound)
        wall_ms.append(1000 * (time.perf_counter() - wall))
        there = {row for row in nearest if row >= 0}
        hits += len(there & set(found))
        wished += len(there)
    return {
        "recall_at_10": round(hits / max(wished, 1), 4),
        "cpu_ms": round(1000 * (_cpu_s() - cpu) / len(queries), 2),
        "wall_ms": round(statistics.median(wall_ms), 2),
    }


def _family() -> list[Path]:
    """Return /proc folders of this process and of those that it started (Milvus Lite may run a server)."""
    mine = {os.getpid()}
    stats = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    while more := {pid for pid, parent in stats.items() if parent in mine} - mine:
        mine |= more
    return [Path("/proc") / str(pid) for pid in mine]


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it started."""
    others = 0
    for path in _family():
        if path.name != str(os.getpid()):
            user, system = (path / "stat").read_text().rpartition(")")[2].split()[11:13]
            others += int(user) + int(system)
    return time.process_time() + others / os.sysconf("SC_CLK_TCK")


def _own_bytes() -> int:
    """Return the private memory of these processes, without mapped files."""
    held = 0
    for path in _family():
        lines = (path / "status").read_text().splitlines()
        held += 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))
    return held


if __name__ == "__main__":
    main()
