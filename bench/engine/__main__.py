"""Measures the archive engine against an exact FAISS scan of the same rows in the same run.

    python -m bench.engine --rows 1000000 --dim 1152 --folder /data/bench

Stages write their figures to bench/results/engine-ROWSxDIM.json; an interrupted run continues with the next one. Run it
with OMP_NUM_THREADS=1: then the processor time (`cpu_ms`) is that of an idle core, even if the machine is shared; wall
times are given too. Queries of both sides alternate.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.archive import ArchiveWriter
from bandsight.search.ranking import nearest
from bench.engine import answering, made_up
from bench.engine.fill import add, model

_PROBES, _APPENDED = 500, 10
Stage = Callable[["Run"], dict[str, Any]]


class Run:
    """An archive of one size, and the paths of its files."""

    def __init__(self, folder: Path, rows: int, dim: int, vectors: Path | None, texts: Path | None) -> None:
        """Initialize; vectors from a file (.npy) replace synthetic ones."""
        folder.mkdir(parents=True, exist_ok=True)
        self.rows, self.dim, self.given_texts = rows, dim, texts
        self.vectors = vectors or folder / f"vectors-{rows}x{dim}.npy"
        self.given = vectors is not None
        self.archive = folder / f"archive-{rows}x{dim}{'-real' if self.given else ''}"

    def queries(self) -> dict[str, Any]:
        """Return queries of each kind."""
        if self.given:
            return answering.given_queries(self.vectors, self.given_texts, self.rows)
        return made_up.MadeUp(self.dim, self.rows).queries(answering.QUERIES)

    def sentences(self) -> Any:
        """Return the sentences that `optimize` measures recall with; none is a query."""
        if self.given and self.given_texts is not None:
            return np.load(self.given_texts)[-_PROBES:].astype(np.float32)
        return made_up.MadeUp(self.dim, self.rows).texts(_PROBES, 1)


def fill(run: Run) -> dict[str, Any]:
    """Write vectors, catalog and columns, like an indexing job."""
    if not run.given:
        made_up.write(run.vectors, run.dim, run.rows)
    with ArchiveWriter.open_or_create(run.archive, model(run.dim)) as archive:
        add(archive, np.load(run.vectors, mmap_mode="r")[: run.rows])
        return {"tiles": archive.tile_count}


def compact(run: Run) -> dict[str, Any]:
    """Merge the small segments of the commits."""
    with ArchiveWriter.open(run.archive) as archive:
        return archive.compact()


def optimize(run: Run) -> dict[str, Any]:
    """Build the index."""
    with ArchiveWriter.open(run.archive) as archive:
        return archive.optimize(run.sentences())


def sizes(run: Run) -> dict[str, Any]:
    """Return the size on disk, bytes per tile."""
    places = {"catalog": "catalog.sqlite*", "vectors": "vectors/*", "columns": "index/*.bsc", "index": "index/ivf*"}
    return {
        name: round(sum(path.stat().st_size for path in run.archive.glob(pattern)) / run.rows, 1)
        for name, pattern in places.items()
    }


def opening(run: Run) -> dict[str, Any]:
    """Open the archive and search it in a separate process, and measure its memory."""
    return _alone(run, "opening")


def compare(run: Run) -> dict[str, Any]:
    """Compare with an exact scan, unfiltered and filtered."""
    return answering.compare(run.archive, run.vectors, run.rows, run.queries())


def append(run: Run) -> dict[str, Any]:
    """Add a tenth more tiles, which are found immediately, without rebuilding."""
    count = run.rows // _APPENDED
    more = made_up.MadeUp(run.dim, run.rows).images(count, 77).astype(np.float16)
    with ArchiveWriter.open(run.archive) as archive:
        before = answering.time_queries(archive, run.queries())
        began = time.process_time()
        add(archive, more, first_scene=run.rows)
        cpu_s = time.process_time() - began
        found = nearest(archive, more[-1:].astype(np.float32), 1)[0][0]
        after = answering.time_queries(archive, run.queries())
    return {
        "tiles": count,
        "cpu_s": round(cpu_s, 1),
        "newest_found_first": found.tile.id == run.rows + count,
        "search_before": before,
        "search_after": after,
    }


STAGES: dict[str, Stage] = {
    "fill": fill,
    "compact": compact,
    "optimize": optimize,
    "bytes_a_tile_on_disk": sizes,
    "opening": opening,
    "compare": compare,
}


def main() -> None:
    """Run the stages that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=1152)
    parser.add_argument("--folder", type=Path, required=True, help="where vectors and archive are kept")
    parser.add_argument("--vectors", type=Path, default=None, help="real embeddings (.npy) instead of made-up ones")
    parser.add_argument("--texts", type=Path, default=None, help="embeddings of sentences (.npy) beside them")
    parser.add_argument("--append", action="store_true", help="also add a tenth more tiles, which changes the archive")
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    run = Run(args.folder, args.rows, args.dim, args.vectors, args.texts)
    out = args.results / f"engine-{args.rows}x{args.dim}{'-real' if run.given else ''}.json"
    done = json.loads(out.read_text()) if out.exists() else {"rows": args.rows, "dim": args.dim, "machine": _machine()}
    stages = {**STAGES, "append": append} if args.append else STAGES
    for name, stage in stages.items():
        if name in done:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        wall, cpu = time.monotonic(), time.process_time()
        figures = stage(run)
        spent = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.monotonic() - wall, 1)}
        done[name] = {**spent, **figures}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(done, indent=1) + "\n")
    print(json.dumps(done, indent=1))


def _alone(run: Run, what: str) -> dict[str, Any]:
    given = [str(run.vectors), str(run.given_texts)] if run.given else []
    command = [sys.executable, "-m", "bench.engine.answering", what, str(run.archive), str(run.rows), *given]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(said)
    return figures


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "processor": platform.processor() or platform.machine()}


if __name__ == "__main__":
    main()
