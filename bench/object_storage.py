"""Compares an archive with its files on S3 with the same archive in a folder, on servers that it starts itself.

    python -m tests.cluster.install
    OMP_NUM_THREADS=1 python -m bench.object_storage --tiles 100000 --dim 768

The catalog is in PostgreSQL and the files are on SeaweedFS, both on this machine; a network adds its own latency.
Vectors are random. "First" searches find no local copies, later ones find all.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import migrate_archive, verify
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity
from bandsight.search.ranking import nearest
from tests.archive.makers import scene, tiles
from tests.cluster.object_storage import KEYS, files_url, object_storage
from tests.cluster.servers import USER, postgres

_TILES_A_SCENE, _SCENES_A_COMMIT, _ROUNDS = 100, 10, 15


def main() -> None:
    """Print rates and times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    args = parser.parse_args()
    os.environ |= KEYS
    folder = Path(tempfile.mkdtemp(prefix="bandsight-bench-"))
    try:
        with postgres() as catalog, object_storage() as storage:
            urls = {
                "catalog": f"postgresql+psycopg://{USER}:secret@127.0.0.1:{catalog.port}/postgres?schema=bench",
                "files": files_url(storage, "bandsight", "bench"),
            }
            print(json.dumps(measured(folder, urls, args.tiles, args.dim), indent=1))
    finally:
        shutil.rmtree(folder)


def measured(folder: Path, urls: dict[str, str], count: int, dim: int) -> dict[str, Any]:
    """Return rates and times; see the module."""
    model = ModelIdentity(name="random", digest="r" * 64, dim=dim, license="Apache-2.0")
    rng = np.random.default_rng(0)
    with ArchiveWriter.create(folder / "embedded", model) as archive:
        per_commit = _TILES_A_SCENE * _SCENES_A_COMMIT
        for first in range(0, count // _TILES_A_SCENE, _SCENES_A_COMMIT):
            batch = []
            for number in range(first, first + _SCENES_A_COMMIT):
                rows = rng.standard_normal((_TILES_A_SCENE, dim)).astype(np.float32)
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                batch.append((scene(number), tiles(number, _TILES_A_SCENE), rows))
            archive.add(batch)
        archive.compact()
    one, two = (_machine(folder / name, urls) for name in ("one", "two"))
    began = time.perf_counter()
    migrate_archive(folder / "embedded", one)
    report: dict[str, Any] = {"tiles": count, "dim": dim, "tiles_a_commit": per_commit}
    report["migrate_tiles_a_s"] = round(count / (time.perf_counter() - began))
    query = rng.standard_normal((1, dim)).astype(np.float32)
    query /= np.linalg.norm(query)
    with Archive.open(folder / "embedded") as embedded:
        report["embedded_exact_ms"] = _median_ms(lambda: nearest(embedded, query, 10, Filter(), exact=True))
    began = time.perf_counter()
    with Archive.open(two) as remote:
        report["open_first_s"] = round(time.perf_counter() - began, 2)
        some = np.sort(rng.choice(np.arange(1, count + 1), 1000, replace=False)).tolist()
        # Spread over all segments: ranges are requested as long as little of each file is needed.
        report["rows_1000_by_ranges_ms"] = _once_ms(lambda: remote.vectors(some))
        report["cache_bytes_after_ranges"] = remote.files.cache.size_bytes if remote.files else 0
        report["exact_first_ms"] = _once_ms(lambda: nearest(remote, query, 10, Filter(), exact=True))
        report["exact_ms"] = _median_ms(lambda: nearest(remote, query, 10, Filter(), exact=True))
        report["rows_1000_ms"] = _median_ms(lambda: remote.vectors(some))
        report["cache_bytes"] = remote.files.cache.size_bytes if remote.files else 0
        began = time.perf_counter()
        assert verify(remote, full=True) == []
        report["verify_full_s"] = round(time.perf_counter() - began, 1)
    began = time.perf_counter()
    with Archive.open(two):
        report["open_again_s"] = round(time.perf_counter() - began, 2)
    return report


def _machine(folder: Path, urls: dict[str, str]) -> Path:
    write_config(folder / "archive.toml", ArchiveConfig(folder=folder, **urls))
    return folder


def _once_ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return round(1000 * (time.perf_counter() - began), 1)


def _median_ms(act: Callable[[], object]) -> float:
    return round(float(np.median([_once_ms(act) for _ in range(_ROUNDS)])), 1)


if __name__ == "__main__":
    main()
