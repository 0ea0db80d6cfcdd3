"""Entry points for indexing."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

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


def index(
    paths: Iterable[str | Path],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
    sensor: str | None = None,
    force: bool = False,
    profiles: Sequence[Profile] | None = None,
    query: StacQuery | None = None,
    batch_size: int = 64,
    workers: int = 2,
    tiling: Tiling | None = None,
    isolate: bool = False,
    time_limit_s: float = 120.0,
    fail_fast: bool = False,
    known_failures: set[str] | None = None,
    progress: Progress | None = None,
    executor: Executor | Callable[[Sequence[str]], Executor] | None = None,
) -> Summary:
    """Index scenes into an archive; unchanged scenes are skipped.

    Args:
        paths: Inputs that name scenes, see `find_scenes`.
        archive: Open for writing, created for this model.
        model: Embeds the tiles; its input size is the tile size.
        sensor: Profile for scenes that match none.
        force: `sensor` also overrides what scenes match.
        profiles: Those to match; None for the shipped ones.
        query: What to ask of a `stac:URL` among the inputs.
        batch_size: Tiles in one forward pass.
        workers: Reader at work at once.
        tiling: How scenes are cut; None for what each scene was indexed with, tiles of the model's input size for
            new ones.
        isolate: Decode in processes of their own: a crash, a hang or too much memory then costs one scene, and nothing
            is read outside of the folders of the scenes (on Linux).
        time_limit_s: With `isolate`: for opening a scene, and for reading some of its tiles.
        fail_fast: Stop at the first scene that fails.
        known_failures: Keys of scenes that have failed before and are not tried again; new ones are added.
        progress: Follows the job.
        executor: Opens scenes and reads tiles, closed at the end; or what makes one, given the only folders and files
            that it may read. None for one of `workers` lanes here, which `isolate` and `time_limit_s` describe.

    Returns:
        Summary of added, skipped and failed scenes. A failed scene does not stop the job unless `fail_fast` is set.
    """
    inputs = [str(path) for path in paths]
    cut = tiling or Tiling.of_model(model)
    layers: list[Path] = []
    sources = find_scenes(inputs, profiles, query, layers)
    specs = [
        SceneSpec(source=source, sensor=sensor, force=force, tiling=cut, remember=tiling is None) for source in sources
    ]
    return run(
        specs,
        archive=archive,
        model=model,
        asked=inputs,
        profiles=profiles,
        batch_size=batch_size,
        workers=workers,
        isolate=isolate,
        time_limit_s=time_limit_s,
        fail_fast=fail_fast,
        known_failures=known_failures,
        progress=progress,
        executor=executor,
        left_out={"ancillary layers of a product": [file.name for file in layers]} if layers else {},
    )


def run(
    specs: Sequence[SceneSpec],
    *,
    archive: ArchiveWriter,
    model: BatchEncoder,
    asked: Sequence[str],
    kind: str = "index",
    recorded_in: ArchiveWriter | None = None,
    profiles: Sequence[Profile] | None = None,
    batch_size: int = 64,
    workers: int = 2,
    isolate: bool = False,
    time_limit_s: float = 120.0,
    fail_fast: bool = False,
    known_failures: set[str] | None = None,
    progress: Progress | None = None,
    executor: Executor | Callable[[Sequence[str]], Executor] | None = None,
    left_out: dict[str, list[str]] | None = None,
) -> Summary:
    """Index scenes with individual options; see `index`.

    Args:
        specs: The scenes and their options.
        archive: Open for writing, created for this model.
        model: Embeds the tiles.
        asked: Inputs of the job, for its record.
        kind: Kind of job, for its record.
        recorded_in: The archive that records the job; None for `archive`.
        profiles: See `index`.
        batch_size: See `index`.
        workers: See `index`.
        isolate: See `index`.
        time_limit_s: See `index`.
        fail_fast: See `index`.
        known_failures: See `index`.
        progress: See `index`.
        executor: See `index`.
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
