"""Renders missing pyramids of scenes in the background when they are viewed."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bandsight.catalog.records import Scene
from bandsight.errors import BandsightError, BusyError
from bandsight.imagery.pyramids import Pyramids, render_pyramid
from bandsight.objects.cached import CachedObjects

# Maximum number of waiting scenes; others are requested again at their next view.
_MOST_WAITING = 200
_LOG = logging.getLogger(__name__)


class PyramidFiller(Pyramids):
    """The pyramids of a served archive. A background thread adds missing ones if the folder is writable."""

    def __init__(self, archive: Path, files: CachedObjects | None = None) -> None:
        super().__init__(archive, files)
        self._thread = ThreadPoolExecutor(1, "bandsight-pyramids")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._failed: set[str] = set()
        # Known pyramids on object storage, so that requests need not query it.
        self._there: set[str] = set()

    def fill(self, scenes: Sequence[Scene]) -> None:
        """Schedule rendering of scenes without pyramids, without blocking."""
        for scene in scenes:
            with self._lock:
                known = scene.key in self._waiting or scene.key in self._failed or scene.key in self._there
                if known or len(self._waiting) >= _MOST_WAITING or (self._files is None and self.has(scene.key)):
                    continue
                self._waiting.add(scene.key)
            self._thread.submit(self._render, scene)

    def close(self) -> None:
        """Cancel pending renderings."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _render(self, scene: Scene) -> None:
        there = False
        try:
            there = self._files is not None and self.has(scene.key)
            data = None if there else render_pyramid(scene)
            if data is not None:
                self.save(scene.key, data)
            there = there or self.has(scene.key)
        except BusyError:
            # The storage is unavailable; the next view requests it again.
            with self._lock:
                self._waiting.discard(scene.key)
            return
        except BandsightError as error:
            _LOG.info("%s: pyramid not rendered (%s)", scene.name, error)
        with self._lock:
            self._waiting.discard(scene.key)
            if not there:
                self._failed.add(scene.key)
            elif self._files is not None:
                self._there.add(scene.key)
