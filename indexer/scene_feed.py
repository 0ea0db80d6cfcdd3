"""Finds which scenes are new, and has them opened ahead of the one being read."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bandsight.archive import ArchiveWriter
from bandsight.raster.drivers import is_remote
from bandsight.sensors.profile import Profile
from indexer.checkpoints import CheckpointFolder
from indexer.executor import Executor
from indexer.identity import scene_key
from indexer.scene import RasterScene
from indexer.scheduling import ahead
from indexer.source import Source
from indexer.tile_plan import TilePlan
from indexer.tiling import Tiling, open_tiled

# Scenes opened ahead of the one being read: hides the time that headers and overviews take. Servers are asked for the
# versions of more, at once.
_OPEN_AHEAD, _ASK_AHEAD, _ASKERS = 3, 16, 8

Opening = Future[tuple[RasterScene, TilePlan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """A scene to be indexed, and how."""

    source: Source
    """Its files."""
    sensor: str | None = None
    """Profile for a scene that matches none by itself."""
    force: bool = False
    """`sensor` also overrides what the scene matches by itself."""
    tiling: Tiling
    """How it is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFeed:
    """Yields the scenes that are to be indexed."""

    archive: ArchiveWriter
    """Where they go."""
    model: str
    """Digest of the model."""
    profiles: Sequence[Profile] | None
    """Those to match; None for the shipped ones."""
    executor: Executor
    """Opens them."""
    askers: ThreadPoolExecutor
    """Ask servers for the versions of remote files."""
    known_failures: set[str]
    """Keys of scenes that have failed before and are not tried again."""
    skipped: Callable[[Source], None]
    """Called for each scene that needs nothing."""
    failed: Callable[[Source, str, Exception], None]
    """Called for each scene that has no key: the scene, what stands in for its key, and the error."""

    def opened(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[SceneSpec, str, Opening]]:
        """Yield new scenes with their keys, each opened some time before it is yielded."""
        return ahead(self._openings(specs), _OPEN_AHEAD)

    def _openings(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[SceneSpec, str, Opening]]:
        for number, (spec, pending) in enumerate(ahead(self._keys(specs), _ASK_AHEAD)):
            source = spec.source
            try:
                key = pending.result()
            except Exception as error:  # noqa: BLE001  (no bad scene stops a job, whatever is wrong with it)
                problem = f"{source.hrefs[0]}: {error}"
                if problem in self.known_failures:
                    self.skipped(source)
                else:
                    self.failed(source, problem, error)
                continue
            there = self.archive.has_scene(key)
            if there:
                CheckpointFolder.drop_left(self.archive.path, key)
            if there or key in self.known_failures:
                self.skipped(source)
                continue
            call = (open_tiled, source, key, spec.sensor, self.profiles, spec.tiling, spec.force)
            yield spec, key, self.executor.submit(number, *call)

    def _keys(self, specs: Sequence[SceneSpec]) -> Iterator[tuple[SceneSpec, Future[str]]]:
        """Yield scenes as their keys are found; several servers are asked at once."""
        for spec in specs:
            options: dict[str, Any] = {"sensor": spec.sensor, "model": self.model, **spec.tiling.as_dict()}
            if any(is_remote(href) for href in spec.source.hrefs):
                yield spec, self.askers.submit(scene_key, spec.source, options)
            else:
                yield spec, _at_once(spec.source, options)


def new_askers() -> ThreadPoolExecutor:
    """Return threads that ask servers."""
    return ThreadPoolExecutor(_ASKERS, "bandsight-ask")


def _at_once(source: Source, options: dict[str, Any]) -> Future[str]:
    future: Future[str] = Future()
    try:
        future.set_result(scene_key(source, options))
    except Exception as error:  # noqa: BLE001  (raised again where the scene is opened)
        future.set_exception(error)
    return future
