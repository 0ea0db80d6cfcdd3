"""Measures an archive on PostgreSQL and Milvus beside the same archive in a folder: move, index, searches, memory.

    python -m tests.cluster.install
    OMP_NUM_THREADS=2 python -m bench.cluster --tiles 200000 --dim 768

The servers are started on this machine, and share its cores with the client; a network adds its own times. Vectors are
of many groups, as tiles of alike ground are. Recall counts the true neighbours by exact scan.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import migrate_archive
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.attributes.filters import Filter, Property
from bandsight.catalog.records import ModelIdentity
from bandsight.geo.box import LonLatBox
from bandsight.search.ranking import nearest
from tests.archive.makers import scene, tiles
from tests.cluster.servers import USER, Server, milvus, postgres

_A_SCENE, _SCENES_A_COMMIT, _QUERIES, _GROUPS, _SPREAD = 100, 50, 40, 2000, 0.6
FILTERS = {
    "none": Filter(),
    "collection (33%)": Filter(collections=("red",)),
    "box of a sixth": Filter(boxes=(LonLatBox(west=-60, south=-60, east=60, north=0),)),
    "cloud and box": Filter(
        boxes=(LonLatBox(west=-60, south=-60, east=120, north=60),),
        properties=(Property(name="bandsight:cloud_fraction", op="<=", value=0.3),),
    ),
}


def main() -> None:
    """Print rates, times, recall and memory as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bandsight-bench-"))
    try:
        with postgres() as catalog, milvus() as index:
            config = ArchiveConfig(
                folder=folder / "cluster",
                catalog=f"postgresql+psycopg://{USER}:secret@127.0.0.1:{catalog.port}/postgres?schema=bench",
                vectors=f"milvus://127.0.0.1:{index.port}/default/bench?timeout_s=60",
            )
            write_config(folder / "cluster" / "archive.toml", config)
            print(json.dumps(measured(folder, args.tiles, args.dim, [catalog, index]), indent=1))
    finally:
        shutil.rmtree(folder)


def measured(folder: Path, count: int, dim: int, servers: list[Server]) -> dict[str, Any]:
    """Return what the module measures."""
    rng = np.random.default_rng(0)
    groups = _unit(rng.standard_normal((_GROUPS, dim)))
    model = ModelIdentity(name="made up", digest="m" * 64, dim=dim, license="Apache-2.0")
    report: dict[str, Any] = {"tiles": count, "dim": dim, "cores": os.cpu_count()}
    with ArchiveWriter.create(folder / "embedded", model) as writer:
        for first in range(0, count // _A_SCENE, _SCENES_A_COMMIT):
            numbers = range(first, first + _SCENES_A_COMMIT)
            writer.add([(scene(n), tiles(n, _A_SCENE), drawn(groups, _A_SCENE, rng)) for n in numbers])
        began = time.perf_counter()
        figures = {"embedded": writer.optimize(drawn(groups, 40, rng))}
        report["embedded_index_s"] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    migrate_archive(folder / "embedded", folder / "cluster")
    report["migrate_tiles_a_s"] = round(count / (time.perf_counter() - began))
    began = time.perf_counter()
    with ArchiveWriter.open(folder / "cluster") as writer:
        figures["cluster"] = writer.optimize(drawn(groups, 40, rng))
    report["cluster_index_s"] = round(time.perf_counter() - began, 1)
    report["index_figures"] = figures
    queries = drawn(groups, _QUERIES, rng)
    report["server_bytes"] = {server.name: _memory(server.process.pid) for server in servers if server.process}
    for name in ("embedded", "cluster"):
        with Archive.open(folder / name) as archive:
            before = _memory(os.getpid())
            report[name] = {what: searched(archive, queries, where) for what, where in FILTERS.items()}
            report[name]["client_bytes"] = {"before": before, "after": _memory(os.getpid())}
    report["load_average"] = round(os.getloadavg()[0], 1)
    return report


def searched(archive: Archive, queries: NDArray[np.float32], where: Filter) -> dict[str, float]:
    """Return times of searches for ten places, and how many of the true ones they find."""
    times, found = [], []
    for query in queries:
        began = time.perf_counter()
        hits = nearest(archive, query[None], 10, where)[0]
        times.append(1000 * (time.perf_counter() - began))
        true = nearest(archive, query[None], 10, where, exact=True)[0]
        found.append(len({hit.tile.id for hit in hits} & {hit.tile.id for hit in true}) / len(true))
    return {
        "p50_ms": round(statistics.median(times), 1),
        "best_ms": round(min(times), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "recall_at_10": round(statistics.mean(found), 4),
    }


def drawn(groups: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return unit vectors around the centres of groups, shape (count, dim)."""
    dim = groups.shape[1]
    noise = rng.standard_normal((count, dim)).astype(np.float32) * (_SPREAD / np.sqrt(dim))
    return _unit(groups[rng.integers(0, len(groups), count)] + noise)


def _unit(values: NDArray[Any]) -> NDArray[np.float32]:
    made: NDArray[np.float32] = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return made


def _memory(pid: int) -> int:
    first = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [first, *first.children(recursive=True)])


if __name__ == "__main__":
    main()
