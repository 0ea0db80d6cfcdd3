"""Compares an indexing job with a loop over torchgeo's dataset, sampler and DataLoader, on the same scene and encoder.

The loop only reads and embeds. The job also writes footprints, metadata, checksums and vectors to an archive. torchgeo
is not a dependency of this project: install both in a separate environment.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.model import load_model
from bandsight.model.protocol import BatchEncoder
from bench.indexing import WAVES, Cost, job, scenes, timed


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=5120, help="width and height of the scene, pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--formats", nargs="+", default=["cog", "strips"])
    parser.add_argument("--out", type=Path, default=Path("bench/results/loaders.json"))
    args = parser.parse_args()
    import torchgeo

    encoder = load_model("embedded")
    results: dict[str, Any] = {"cpus": os.cpu_count(), "side_px": args.side, "torchgeo": torchgeo.__version__}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = scenes(folder, args.side)
        for format_name in args.formats:
            path, rows = paths[format_name], []
            for number in range(args.rounds):
                place = folder / f"{format_name}{number}"
                ours, tiles = job(encoder, [path], place, isolate=True, workers=args.workers)
                loop, loop_tiles = _loop(encoder, path, args.workers)
                rows.append(_row(ours, tiles, loop, loop_tiles))
            middle = sorted(rows, key=lambda row: row["times_as_fast"])[len(rows) // 2]
            results[format_name] = {**middle, "times_as_fast_rounds": [row["times_as_fast"] for row in rows]}
            print(json.dumps({format_name: results[format_name]}), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def _row(ours: Cost, tiles: int, loop: Cost, loop_tiles: int) -> dict[str, Any]:
    return {
        "job_tiles": tiles,
        "loop_tiles": loop_tiles,
        "job_tiles_per_s": round(tiles / ours.wall_s, 1),
        "loop_tiles_per_s": round(loop_tiles / loop.wall_s, 1),
        "times_as_fast": round(tiles / ours.wall_s / (loop_tiles / loop.wall_s), 3),
        "cpu_ms_per_tile": [round(1000 * ours.cpu_s / tiles, 2), round(1000 * loop.cpu_s / loop_tiles, 2)],
    }


def _loop(encoder: BatchEncoder, path: Path, workers: int) -> tuple[Cost, int]:
    """Read a scene as in torchgeo's tutorial and embed its tiles; return the cost and the number of tiles."""
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    size, count = encoder.image_size, 0

    def run() -> None:
        nonlocal count
        dataset = RasterDataset(str(path))
        sampler = GridGeoSampler(dataset, size=size, stride=size)
        loader = DataLoader(dataset, batch_size=64, sampler=sampler, num_workers=workers, collate_fn=stack_samples)
        vectors = [encoder.embed_pixels(sample["image"].to(torch.uint8).numpy(), WAVES) for sample in loader]
        count = len(np.concatenate(vectors))

    cost = timed(run)
    return cost, count


if __name__ == "__main__":
    main()
