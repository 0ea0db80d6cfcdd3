"""Benchmarks indexing against the bare encoder, and reading against plain rasterio, for COG, strips and JP2.

Bare encoder, rasterio and job run alternately, because the machine may be shared; results are medians of ratios. CPU
time is reported next to wall time, because it does not depend on other load.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.transform import from_origin

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.model import load_model
from bandsight.model.pending import PendingEmbeddings, Ready
from bandsight.model.protocol import BatchEncoder
from bandsight.model.scoring import Calibration, Probabilities
from indexer.pipeline import index

WAVES = (0.66, 0.56, 0.46, 0.83)
FORMATS = ("cog", "strips", "jp2")
_BARE_BATCHES, _BATCH = 8, 64


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of a call."""

    wall_s: float
    """Wall time, seconds."""
    cpu_s: float
    """CPU time of this process and its finished children, seconds."""


class NullEncoder:
    """A model without computation, to measure reading alone."""

    name, digest, license, dim, image_size = "null", "0" * 64, "Apache-2.0", 8, 128

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return the same vector for every tile."""
        assert pixels.shape[1] == len(wavelengths)
        return np.full((len(pixels), self.dim), self.dim**-0.5, np.float32)

    def begin_pixels(
        self, pixels: NDArray[np.uint8], wavelengths: Sequence[float], cells: int = 0
    ) -> PendingEmbeddings:
        """Return the vectors immediately."""
        parts = np.full((len(pixels), cells, cells, self.dim), self.dim**-0.5, np.float32) if cells else None
        return Ready(self.embed_pixels(pixels, wavelengths), parts=parts)

    def speed_up(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> str | None:  # noqa: ARG002  (as below)
        """Do nothing."""
        return None

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one cell per tile, with the same vector."""
        return self.embed_pixels(pixels, wavelengths)[:, None, None]

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the same vector for every text."""
        return np.full((len(texts), self.dim), self.dim**-0.5, np.float32)

    gsd_m = None
    background = None

    @property
    def probabilities(self) -> Probabilities:
        """Nothing is calibrated."""
        return Probabilities(self.name, Calibration(), None, None, self.dim)


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=5120, help="width and height of the scenes, pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of readers to try")
    parser.add_argument(
        "--scenes", type=int, default=4, help="scenes per job without a model, to spread its start-up time"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--out", type=Path, default=Path("bench/results/indexing.json"))
    args = parser.parse_args()
    encoder = load_model("embedded")
    results: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "device": str(encoder.device)},
        "side_px": args.side,
        "rounds": args.rounds,
        "scenes_read": args.scenes,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = scenes(folder, args.side)
        for format_name, path in ((name, paths[name]) for name in args.formats):
            results[format_name] = {
                "reading": reading(_copies(path, args.scenes), folder, args.rounds, args.workers),
                "end_to_end": end_to_end(encoder, path, folder, args.rounds, args.workers),
            }
            print(json.dumps({format_name: results[format_name]}), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def scenes(folder: Path, side: int) -> dict[str, Path]:
    """Write an image of four bands, with noise like that of a photo, in each format."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (len(WAVES), side // 16, side // 16), np.uint8)
    values = np.kron(coarse, np.ones((1, 16, 16), np.uint8)) + rng.integers(0, 16, (len(WAVES), side, side), np.uint8)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": len(WAVES), "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_800_000, 1, 1)}
    strips = folder / "naip_strips.tif"
    with rasterio.open(strips, "w", compress="deflate", photometric="MINISBLACK", **profile, **place) as dataset:
        dataset.write(values)
    cog, jp2 = folder / "naip_cog.tif", folder / "naip_jp2.jp2"
    rasterio.shutil.copy(strips, cog, driver="COG", compress="deflate", overviews="none")
    rasterio.shutil.copy(strips, jp2, driver="JP2OpenJPEG", quality=25, reversible="no")
    return {"cog": cog, "strips": strips, "jp2": jp2}


def reading(paths: Sequence[Path], folder: Path, rounds: int, workers: Sequence[int]) -> dict[str, Any]:
    """Compare a job without a model with rasterio reading each block of the same files once."""
    size = sum(_bytes(path) for path in paths)
    found: dict[str, Any] = {"mb": round(size / 1e6, 1)}
    for isolate in (False, True):
        for count in workers:
            ratios, speeds = [], []
            for number in range(rounds):
                plain = timed(lambda: _plain(*paths))
                place = folder / f"read-{paths[0].stem}-{isolate}-{count}-{number}"
                cost, _ = job(NullEncoder(), paths, place, isolate=isolate, workers=count)
                ratios.append(plain.wall_s / cost.wall_s)
                speeds.append((size / 1e6 / cost.wall_s, size / 1e6 / plain.wall_s, plain.cpu_s / cost.cpu_s))
            middle = _middle(ratios)
            found[f"{count} {'processes' if isolate else 'threads'}"] = {
                "mb_per_s": round(speeds[middle][0], 1),
                "plain_mb_per_s": round(speeds[middle][1], 1),
                "ratio": round(ratios[middle], 3),
                "ratios": [round(ratio, 3) for ratio in ratios],
                "cpu_ratio": round(statistics.median(cpu for _, _, cpu in speeds), 3),
            }
    return found


def end_to_end(encoder: BatchEncoder, path: Path, folder: Path, rounds: int, workers: Sequence[int]) -> dict[str, Any]:
    """Compare jobs with the bare encoder on as many tiles, and with the sum of encoder and rasterio."""
    tile_px = encoder.image_size
    tiles = np.random.default_rng(0).integers(0, 256, (_BATCH, len(WAVES), tile_px, tile_px), np.uint8)
    encoder.embed_pixels(tiles, WAVES)
    found: dict[str, Any] = {}
    for count in workers:
        rows = []
        for number in range(rounds):
            bare = timed(lambda: [encoder.embed_pixels(tiles, WAVES) for _ in range(_BARE_BATCHES)])
            plain = timed(lambda: _plain(path))
            place = folder / f"job-{path.stem}-{count}-{number}"
            cost, tiles_added = job(encoder, [path], place, isolate=True, workers=count)
            share = tiles_added / (_BARE_BATCHES * _BATCH)
            rows.append(
                {
                    "ratio": bare.wall_s * share / cost.wall_s,
                    "tiles_per_s": tiles_added / cost.wall_s,
                    "bare_tiles_per_s": _BARE_BATCHES * _BATCH / bare.wall_s,
                    # The share of the necessary work in the CPU time of the job.
                    "cpu_encoder_of_job": bare.cpu_s * share / cost.cpu_s,
                    "cpu_needed_of_job": (bare.cpu_s * share + plain.cpu_s) / cost.cpu_s,
                    "needed_of_cores": (bare.cpu_s * share + plain.cpu_s) / (cost.wall_s * (os.cpu_count() or 1)),
                    # The limit for any job when all cores are busy.
                    "limit": bare.cpu_s * share / (bare.cpu_s * share + plain.cpu_s),
                }
            )
        middle = rows[_middle([row["ratio"] for row in rows])]
        found[f"{count} processes"] = {
            **{name: round(value, 3) for name, value in middle.items()},
            "tiles": tiles_added,
            "ratios": [round(row["ratio"], 3) for row in rows],
            "cpu_needed_of_job": round(statistics.median(row["cpu_needed_of_job"] for row in rows), 3),
            "cpu_encoder_of_job": round(statistics.median(row["cpu_encoder_of_job"] for row in rows), 3),
        }
    return found


def job(model: BatchEncoder, paths: Sequence[Path], place: Path, *, isolate: bool, workers: int) -> tuple[Cost, int]:
    """Index scenes into an empty archive. The time includes starting the readers, but not creating the archive."""
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(place, identity) as archive:
        found = []
        options: Any = {"sensor": "rgbn", "isolate": isolate, "workers": workers}
        cost = timed(lambda: found.append(index(paths, archive=archive, model=model, **options)))
    assert not found[0].failed, found[0].failed
    return cost, found[0].tiles


def _copies(path: Path, count: int) -> list[Path]:
    """Return hard links to a scene."""
    copies = [path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(count)]
    for copy in copies:
        copy.hardlink_to(path)
    return copies


def _plain(*paths: Path) -> None:
    for path in paths:
        with rasterio.open(path) as dataset:
            for _, window in dataset.block_windows(1):
                dataset.read(window=window)


def _bytes(path: Path) -> int:
    with rasterio.open(path) as dataset:
        return int(dataset.width * dataset.height * dataset.count * np.dtype(dataset.dtypes[0]).itemsize)


def timed(call: Callable[[], object]) -> Cost:
    """Return the time of a call."""
    cpu, start = _cpu(), time.perf_counter()
    call()
    wall = time.perf_counter() - start
    # The CPU time of readers counts once they are reaped.
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return Cost(wall, _cpu() - cpu)


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _middle(values: Sequence[float]) -> int:
    return sorted(range(len(values)), key=lambda at: values[at])[len(values) // 2]


if __name__ == "__main__":
    main()
