"""Finds new scenes, and opens them ahead of reading."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bandsight.archive import ArchiveWriter
from bandsight.errors import BusyError
from bandsight.raster.drivers import is_remote
from bandsight.sensors.profile import Profile
from indexer.checkpoints import CheckpointFolder
from indexer.executor import Executor
from indexer.identity import Fingerprint, fingerprint
from indexer.patience import Patience
from indexer.recognition import Recognised, SceneSpec, is_repeated, recognise
from indexer.scene import RasterScene
from indexer.scheduling import ahead
from indexer.source import Source
from indexer.tile_plan import TilePlan
from indexer.tiling import open_tiled

# Scenes opened ahead of the one being read, to hide the latency of headers and overviews. Versions of remote files are
# requested for more scenes, concurrently.
_OPEN_AHEAD, _ASK_AHEAD, _ASKERS = 3, 16, 8

Opening = Future[tuple[RasterScene, TilePlan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFeed:
    """Yields the scenes to index."""

    archive: ArchiveWriter
    """Target archive."""
    model: str
    """Digest of the model."""
    profiles: Sequence[Profile] | None
    """Profiles to match; None for the built-in ones."""
    executor: Executor
    """Opens scenes."""
    askers: ThreadPoolExecutor
    """Threads that request versions of remote files."""
    known_failures: set[str]
    """Keys of scenes that failed before and are not retried."""
    skipped: Callable[[Source], None]
    """Called for each unchanged scene."""
    noted: Callable[[Source, str], None]
    """Called with a note about an unchanged scene."""
    moved: Callable[[Recognised], None]
    """Called for each scene whose files were moved or renamed."""
    failed: Callable[[Source, str, Exception], None]
    """Called for each scene that has no key: the scene, what stands in for its key, and the error."""
    patience: Patience
    """Waits while the archive's engines are away."""
    postponed: list[SceneSpec] = field(default_factory=list)
    """Scenes that other jobs are indexing into the same archive."""

    def give_back(self, lease: str) -> None:
        """Let other jobs have a scene that is in the archive now, or has failed."""
        if self.archive.leases is not None:
            self.archive.leases.give_back(lease)

    def opened(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[Recognised, Opening]]:
        """Yield new and changed scenes, each opened some time before it is yielded."""
        return ahead(self._openings(specs), max(_OPEN_AHEAD, self.executor.ahead // 8))

    def _openings(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[Recognised, Opening]]:
        before: dict[str, Source] = {}
        for number, (spec, pending) in enumerate(ahead(self._fingerprints(specs), _ASK_AHEAD)):
            source, lease = spec.source, ""
            try:
                found = pending.result()
                first = before.setdefault(found.identity, source)
                if first is not source and is_repeated(source, first):
                    self.skipped(source)
                    continue
                if not self._take(found.identity):
                    self.postponed.append(spec)
                    continue
                lease = found.identity
                others = before if first is not source else None
                known = self.patience.call(recognise, self.archive, spec, found, self.model, others)
            except BusyError:
                raise
            except Exception as error:  # noqa: BLE001  (a bad scene must never stop the job)
                if lease:
                    self.give_back(lease)
                problem = f"{source.hrefs[0]}: {error}"
                if problem in self.known_failures:
                    self.skipped(source)
                else:
                    self.failed(source, problem, error)
                continue
            if known.unchanged:
                CheckpointFolder.drop_left(self.archive.path, known.key)
            if known.moved:
                # Also if it is indexed again, so that it replaces the old scene.
                self.moved(known)
            if known.unchanged or known.key in self.known_failures:
                self.skipped(source)
                self.give_back(known.lease)
                if known.unchanged and known.note:
                    self.noted(source, known.note)
                continue
            own = known.spec
            call = (open_tiled, source, known.key, own.sensor, self.profiles, own.tiling)
            more: dict[str, Any] = {"force": own.force, "identity": known.identity, "plain_key": known.plain_key}
            yield known, self.executor.submit(number, *call, **more)

    def _take(self, lease: str) -> bool:
        """Say whether no other job is indexing a scene."""
        return self.archive.leases is None or self.patience.call(self.archive.leases.take, lease)

    def _fingerprints(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[SceneSpec, Future[Fingerprint]]]:
        """Yield scenes with their fingerprints; remote ones are requested concurrently."""
        for spec in specs:
            if any(is_remote(href) for href in spec.source.hrefs):
                yield spec, self.askers.submit(fingerprint, spec.source)
            else:
                yield spec, _at_once(spec.source)


def new_askers() -> ThreadPoolExecutor:
    """Return a thread pool for requests to servers."""
    return ThreadPoolExecutor(_ASKERS, "bandsight-ask")


def _at_once(source: Source) -> Future[Fingerprint]:
    future: Future[Fingerprint] = Future()
    try:
        future.set_result(fingerprint(source))
    except Exception as error:  # noqa: BLE001  (raised again when the scene is opened)
        future.set_exception(error)
    return future
