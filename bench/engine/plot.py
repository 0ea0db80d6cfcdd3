"""Plots query time, build time and memory by size of the archive, from bench/results/engine-*.json.

python -m bench.engine.plot
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_KINDS = {"image": "C0", "text": "C1"}


def main() -> None:
    """Read the results for all synthetic archives of one vector length and write a plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    parser.add_argument("--dim", type=int, default=1152)
    args = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in args.results.glob(f"engine-*x{args.dim}.json")]
    runs = sorted((run for run in runs if "compare" in run), key=lambda run: int(run["rows"]))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4))
    for kind, colour in _KINDS.items():
        _line(left, runs, lambda run, k=kind: run["compare"]["unfiltered"][k]["cpu_ms"], f"archive, {kind}", colour)
    _line(left, runs, lambda run: run["compare"]["unfiltered"]["text"]["flat_cpu_ms"], "FAISS Flat, float32", "black")
    _line(middle, runs, lambda run: run["optimize"]["cpu_s"], "build and measure the index", "C2")
    _line(middle, runs, lambda run: run["fill"]["cpu_s"], "write catalog and vectors", "C3")
    # With fewer tiles, memory is dominated by the process itself.
    indexed = [run for run in runs if run["optimize"]["index"] != "none"]
    _line(right, indexed, lambda run: run["opening"]["resident_bytes_a_tile"]["sum"], "in memory", "C4")
    right.set_ylim(0, 300)
    right.axhline(200, color="grey", linestyle=":", label="200 bytes")
    for axis, title in zip((left, middle, right), ("ms a query", "seconds", "bytes a tile"), strict=True):
        axis.set(xscale="log", yscale="linear" if axis is right else "log", xlabel="tiles", title=title)
        axis.grid(which="both", alpha=0.2)
        axis.legend()
    figure.suptitle(f"{args.dim} numbers a vector, one core, wanted recall@10 0.99; processor time")
    figure.tight_layout()
    figure.savefig(args.results / "engine-growth.png", dpi=110)


def _line(axis: Any, runs: list[dict[str, Any]], value: Any, name: str, colour: str) -> None:
    points = [(run["rows"], value(run)) for run in runs]
    axis.plot(*zip(*points, strict=True), "o-", label=name, color=colour)


if __name__ == "__main__":
    main()
