"""Entry points for indexing."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from bandsight.archive import ArchiveWriter
from bandsight.model.protocol import BatchEncoder
from bandsight.sensors.profile import Profile
from indexer.executor import Executor, LocalExecutor
from indexer.folders import roots_of
from indexer.job import Job
from indexer.progress import NullProgress, Progress
from indexer.reader_pool import InlineReader, ProcessReader, RetryingReader
from indexer.recognition import SceneSpec
from indexer.sources import find_scenes
from indexer.stac_query import StacQuery
from indexer.summary import Summary
from indexer.tiling import Tiling


class JobOptions(TypedDict, total=False):
    """Options of a job, with the defaults of `run`."""

    profiles: Sequence[Profile] | None
    """Sensor profiles to match; None for the built-in ones."""
    batch_size: int
    """Tiles per forward pass."""
    workers: int
    """Number of readers."""
    isolate: bool
    """Whether to decode in separate processes, so that a crash, hang or lack of memory loses only one scene, and only
    the folders of the scenes can be read (on Linux)."""
    time_limit_s: float
    """With `isolate`: time limit to open a scene, or to read a batch of tiles, seconds."""
    fail_fast: bool
    """Whether to stop at the first scene that fails."""
    known_failures: set[str] | None
    """Keys of scenes that failed before, which are skipped; keys of new failures are added."""
    progress: Progress | None
    """Receives the events of the job."""
    executor: Executor | Callable[[Sequence[str]], Executor] | None
    """Opens scenes and reads tiles; closed at the end. Or a function that creates it, given the only folders and files
    that it may read. None for an executor in this process with `workers` readers."""


def index(
    paths: Iterable[str | Path],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
    sensor: str | None = None,
    force: bool = False,
    query: StacQuery | None = None,
    tiling: Tiling | None = None,
    **options: Unpack[JobOptions],
) -> Summary:
    """Index scenes into an archive; unchanged scenes are skipped.

    Args:
        paths: Inputs that name scenes, see `find_scenes`.
        archive: Open for writing, created for this model.
        model: Embeds the tiles; its input size is the tile size.
        sensor: Profile for scenes that match none.
        force: Whether `sensor` overrides the profiles that scenes match.
        query: Conditions for a `stac:URL` among the inputs.
        tiling: How to divide scenes into tiles; None for the tiling that each scene was indexed with, and for new
            scenes, tiles of the model's input size.
        options: See `JobOptions`.

    Returns:
        Summary of added, skipped and failed scenes. A failed scene does not stop the job unless `fail_fast` is set.
    """
    inputs = [str(path) for path in paths]
    cut = tiling or Tiling.of_model(model)
    layers: list[Path] = []
    sources = find_scenes(inputs, options.get("profiles"), query, layers)
    specs = [
        SceneSpec(source=source, sensor=sensor, force=force, tiling=cut, remember=tiling is None) for source in sources
    ]
    left_out = {"ancillary layers of a product": [file.name for file in layers]} if layers else {}
    return run(specs, archive=archive, model=model, asked=inputs, left_out=left_out, **options)


def run(
    specs: Sequence[SceneSpec],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
    asked: Sequence[str],
    kind: str = "index",
    recorded_in: ArchiveWriter | None = None,
    left_out: dict[str, list[str]] | None = None,
    profiles: Sequence[Profile] | None = None,
    batch_size: int = 64,
    workers: int = 2,
    isolate: bool = False,
    time_limit_s: float = 120.0,
    fail_fast: bool = False,
    known_failures: set[str] | None = None,
    progress: Progress | None = None,
    executor: Executor | Callable[[Sequence[str]], Executor] | None = None,
) -> Summary:
    """Index scenes with individual options.

    Args:
        specs: The scenes and their options.
        archive: Open for writing, created for this model.
        model: Embeds the tiles.
        asked: Inputs of the job, for its record.
        kind: Kind of job, for its record.
        recorded_in: The archive that records the job; None for `archive`.
        profiles: See `JobOptions`, as for the others.
        batch_size: See there.
        workers: See there.
        isolate: See there.
        time_limit_s: See there.
        fail_fast: See there.
        known_failures: See there.
        progress: See there.
        executor: See there.
        left_out: Names of skipped files by reason, for the summary.
    """
    roots = roots_of(spec.source for spec in specs)
    if callable(executor):
        executor = executor(roots)
    elif executor is None:
        reader = ProcessReader(roots, time_limit_s=time_limit_s) if isolate else InlineReader()
        executor = LocalExecutor(workers, RetryingReader(reader))
    job = Job(
        archive=archive,
        model=model,
        record=(recorded_in or archive, kind, asked),
        profiles=profiles,
        batch_size=batch_size,
        executor=executor,
        fail_fast=fail_fast,
        known_failures=set() if known_failures is None else known_failures,
        progress=progress or NullProgress(),
    )
    summary = job.run(specs)
    summary.left_out = dict(left_out or {})
    return summary
