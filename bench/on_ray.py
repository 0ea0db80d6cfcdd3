"""Benchmarks indexing on Ray, two workers on this machine, against the local executor on the same scenes.

    python -m bench.on_ray --rounds 3

Both use the same cores and run alternately, because the machine may be shared; the result is the median of the ratios
of their times, by the clock and by the processor time of all processes, Ray's own included, which other programs on
the machine disturb less. Starting the workers and loading the models is not included.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import rasterio
from rasterio.transform import from_origin

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.model import load_model
from bandsight.model.protocol import BatchEncoder
from indexer.pipeline import index
from indexer.ray_cluster import RayOptions
from indexer.ray_executor import RayExecutor
from indexer.ray_worker import WorkerSetup
from indexer.summary import Summary

_WORKERS = 2
_WAVES_NM = (490, 560, 665, 842)


def make_scenes(folder: Path, scenes: int, side: int) -> None:
    """Write scenes of four bands, uint16, in blocks of 512 pixels."""
    rng = np.random.default_rng(0)
    for number in range(scenes):
        values = rng.integers(0, 4000, (4, side, side), dtype=np.uint16)
        where = from_origin(400_000 + 20_000 * number, 5_800_000, 10, 10)
        profile = {
            "width": side,
            "height": side,
            "count": 4,
            "dtype": "uint16",
            "crs": "EPSG:32632",
            "transform": where,
        }
        with rasterio.open(
            folder / f"{number}.tif", "w", driver="GTiff", tiled=True, blockxsize=512, blockysize=512, **profile
        ) as out:
            out.write(values)
            for band, wavelength in enumerate(_WAVES_NM, 1):
                out.update_tags(band, wavelength=str(wavelength), wavelength_units="nanometers")


def run(scenes: Path, archive: Path, model: BatchEncoder, executor: RayExecutor | None) -> Summary:
    """Index into a new archive."""
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(archive, identity) as opened:
        return index([scenes], archive=opened, model=model, workers=_WORKERS, isolate=True, executor=executor)


def on_ray(model: BatchEncoder, scenes: Path) -> RayExecutor:
    """Return an executor with running workers, each with its share of the cores."""
    setup = WorkerSetup(
        load=partial(load_model, "embedded", "cpu"),
        digest=model.digest,
        workers=_WORKERS,
        readers=1,
        roots=(str(scenes),),
    )
    cores = max(1, (os.cpu_count() or 1) // _WORKERS)
    executor = RayExecutor(setup, RayOptions(address="local", workers=_WORKERS, cpus=cores, gpus=False))
    while len({executor.submit(lane, os.getppid).result() for lane in range(8 * _WORKERS)}) < _WORKERS:
        pass
    return executor


class ProcessorTime:
    """Measures the processor time of this process and all its descendants, by sampling."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._seen: dict[int, float] = {}
        self._before: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._look()
        self._before = dict(self._seen)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    @property
    def seconds(self) -> float:
        """Time since the start, s, without the last moments of processes that have ended."""
        return sum(spent - self._before.get(pid, 0.0) for pid, spent in self._seen.items())

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._look()

    def _look(self) -> None:
        mine = psutil.Process()
        for one in [mine, *mine.children(recursive=True)]:
            with suppress(psutil.Error):
                times = one.cpu_times()
                self._seen[one.pid] = times.user + times.system


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--side", type=int, default=2048, help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    model = load_model("embedded", "cpu")
    rounds = []
    with tempfile.TemporaryDirectory() as place:
        scenes = Path(place) / "scenes"
        scenes.mkdir()
        make_scenes(scenes, args.scenes, args.side)
        for number in range(args.rounds):
            with ProcessorTime() as local:
                here = run(scenes, Path(place) / f"local{number}", model, None)
            executor = on_ray(model, scenes)
            with ProcessorTime() as ray:
                there = run(scenes, Path(place) / f"ray{number}", model, executor)
            assert here.tiles == there.tiles > 0, (here.text(), there.text())
            times = {"local_s": here.seconds, "ray_s": there.seconds}
            times |= {"local_processor_s": local.seconds, "ray_processor_s": ray.seconds}
            rounds.append({name: round(value, 2) for name, value in times.items()})
    ratios = [one["ray_s"] / one["local_s"] for one in rounds]
    spent = [one["ray_processor_s"] / one["local_processor_s"] for one in rounds]
    print(
        json.dumps(
            {
                "tiles": here.tiles,
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "rounds": rounds,
                "ray_over_local": round(statistics.median(ratios), 3),
                "range": [round(min(ratios), 3), round(max(ratios), 3)],
                "ray_over_local_processor": round(statistics.median(spent), 3),
                "processor_range": [round(min(spent), 3), round(max(spent), 3)],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
