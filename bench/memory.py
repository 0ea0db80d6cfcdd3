"""Measures the peak memory of indexing a small and a very large scene, both written as sparse files.

Each job runs in its own process, with a model that needs neither time nor memory; its libraries are loaded. The result
is the peak resident memory of the job and of its readers.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
from rasterio.transform import from_origin

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bench.indexing import NullEncoder
from indexer.pipeline import index

_SAMPLE_S = 0.1


class NullEncoder384(NullEncoder):
    """A model with vectors as long as those of the embedded model."""

    dim = 384


def main() -> None:
    """Run both jobs and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sides", type=int, nargs=2, default=[2000, 60_000], help="widths of the square scenes, pixels"
    )
    parser.add_argument("--layout", choices=("tiles", "strips"), default="tiles")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("bench/results/memory.json"))
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_measure(args.one, args.layout)))
        return
    found = {}
    for side in args.sides:
        command = [sys.executable, "-W", "ignore", "-m", "bench.memory", "--one", str(side), "--layout", args.layout]
        found[str(side)] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(json.dumps({side: found[str(side)]}), flush=True)
    small, large = (found[str(side)] for side in args.sides)
    names = ("job_mb", "with_readers_mb")
    results = {
        "layout": args.layout,
        **found,
        **{f"{name}_ratio": round(large[name] / small[name], 3) for name in names},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    previous = json.loads(args.out.read_text()) if args.out.exists() else {}
    args.out.write_text(json.dumps({**previous, args.layout: results}, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _measure(side: int, layout: str) -> dict[str, Any]:
    model = NullEncoder384()
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with tempfile.TemporaryDirectory() as name:
        scene = _sparse(Path(name) / "rgb.tif", side, layout)
        readers: dict[int, int] = {}
        stop = threading.Event()
        watch = threading.Thread(target=_watch, args=(readers, stop))
        watch.start()
        with ArchiveWriter.create(Path(name) / "archive", identity) as archive:
            summary = index([scene], archive=archive, model=model, isolate=True)
        stop.set()
        watch.join()
    assert not summary.failed, summary.failed
    job = _peak(psutil.Process().pid)
    return {
        "tiles": summary.tiles,
        "seconds": round(summary.seconds, 1),
        "job_mb": round(job / 1e6, 1),
        "readers_mb": [round(one / 1e6, 1) for one in readers.values()],
        "with_readers_mb": round((job + sum(readers.values())) / 1e6, 1),
    }


def _watch(readers: dict[int, int], stop: threading.Event) -> None:
    """Record the peak memory of each child. Only the last value counts: before exec, a child has the parent's peak."""
    parent = psutil.Process()
    while not stop.wait(_SAMPLE_S):
        for child in parent.children(recursive=True):
            peak = _peak(child.pid)
            if peak:
                readers[child.pid] = peak


def _peak(pid: int) -> int:
    """Return the peak resident memory of a process, bytes; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _sparse(path: Path, side: int, layout: str) -> Path:
    """Write a scene of three bands as a sparse file."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "photometric": "RGB"}
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_800_000, 1, 1)}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512} if layout == "tiles" else {}
    with rasterio.open(
        path, "w", SPARSE_OK=True, BIGTIFF="YES", compress="deflate", **profile, **place, **tiles
    ) as out:
        out.write(np.full((3, 16, 16), 77, np.uint8), window=((0, 16), (0, 16)))
    return path


if __name__ == "__main__":
    main()
