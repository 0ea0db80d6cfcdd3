"""What jobs on Ray in tests have in common, and such a job as a process of its own.

python -m tests.cluster.ray_jobs ARCHIVE ADDRESS SECONDS_A_BATCH PATH…
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter
from indexer.console import JsonLines
from indexer.pipeline import index
from indexer.progress import Progress
from indexer.ray_cluster import RayOptions
from indexer.ray_executor import RayExecutor
from indexer.ray_worker import WorkerSetup
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity

CPUS = 0.5
"""Cores of a worker."""


class SlowEmbedder(FakeEmbedder):
    """One that takes its time, so that something can happen meanwhile."""

    def __init__(self, seconds: float = 0.0, loads: str = "") -> None:
        super().__init__()
        self._seconds = seconds
        if loads:
            # One line for each time that it is loaded.
            with Path(loads).open("a") as file:
                file.write(f"{os.getpid()}\n")

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        time.sleep(self._seconds)
        return super().embed_pixels(pixels, wavelengths)


class OtherEmbedder(FakeEmbedder):
    """Another model, with shorter vectors."""

    name, digest, dim = "other", "0" * 64, 8


def ray_executor(
    address: str,
    progress: Progress | None = None,
    *,
    seconds: float = 0.0,
    loads: str = "",
    workers: int = 2,
    cpus: float = CPUS,
) -> RayExecutor:
    """Return an executor on a cluster."""
    setup = WorkerSetup(
        load=partial(SlowEmbedder, seconds, loads), digest=FakeEmbedder.digest, workers=0, readers=1, isolate=False
    )
    return RayExecutor(setup, RayOptions(address=address, workers=workers, cpus=cpus), progress)


def main(archive: str, address: str, seconds: str, *paths: str) -> None:
    """Index, and write events as JSON lines; the last one has the summary."""
    model, events = FakeEmbedder(), JsonLines(sys.stdout)
    with ArchiveWriter.open_or_create(archive, identity(model), alone=False) as opened:
        executor = ray_executor(address, events, seconds=float(seconds), workers=1)
        summary = index(paths, archive=opened, model=model, executor=executor, progress=events)
    sys.stdout.write(json.dumps(summary.as_dict()) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
