"""Renders scenes for the map that were indexed without, one after another, while they are looked at."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bandsight.catalog.records import Scene
from bandsight.errors import BandsightError, BusyError
from bandsight.imagery.pyramids import Pyramids, render_pyramid
from bandsight.objects.cached import CachedObjects

# More scenes than this are not kept waiting; the next view of one requests it again.
_MOST_WAITING = 200
_LOG = logging.getLogger(__name__)


class PyramidFiller(Pyramids):
    """The pyramids of a served archive. One thread adds those that are missing, where the folder can be written."""

    def __init__(self, archive: Path, files: CachedObjects | None = None) -> None:
        super().__init__(archive, files)
        self._thread = ThreadPoolExecutor(1, "bandsight-pyramids")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._failed: set[str] = set()
        # Of those on object storage, which is not asked while a request waits.
        self._there: set[str] = set()

    def fill(self, scenes: Sequence[Scene]) -> None:
        """Have these scenes rendered, if they have no pyramid; return at once."""
        for scene in scenes:
            with self._lock:
                known = scene.key in self._waiting or scene.key in self._failed or scene.key in self._there
                if known or len(self._waiting) >= _MOST_WAITING or (self._files is None and self.has(scene.key)):
                    continue
                self._waiting.add(scene.key)
            self._thread.submit(self._render, scene)

    def close(self) -> None:
        """Drop what has not begun."""
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
            # The storage is away; the next view requests it again.
            with self._lock:
                self._waiting.discard(scene.key)
            return
        except BandsightError as error:
            _LOG.info("%s: not rendered for the map (%s)", scene.name, error)
        with self._lock:
            self._waiting.discard(scene.key)
            if not there:
                self._failed.add(scene.key)
            elif self._files is not None:
                self._there.add(scene.key)
