"""Renders scenes for the map that were indexed without, one after another, while they are looked at."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bandsight.catalog.records import Scene
from bandsight.errors import BandsightError
from bandsight.imagery.pyramids import Pyramids, render_pyramid

# More scenes than this are not kept waiting; the next view of one requests it again.
_MOST_WAITING = 200
_LOG = logging.getLogger(__name__)


class PyramidFiller(Pyramids):
    """The pyramids of a served archive. One thread adds those that are missing, where the folder can be written."""

    def __init__(self, archive: Path) -> None:
        super().__init__(archive)
        self._thread = ThreadPoolExecutor(1, "bandsight-pyramids")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._failed: set[str] = set()

    def fill(self, scenes: Sequence[Scene]) -> None:
        """Have these scenes rendered, if they have no pyramid; return at once."""
        for scene in scenes:
            with self._lock:
                known = scene.key in self._waiting or scene.key in self._failed
                if known or len(self._waiting) >= _MOST_WAITING or self.has(scene.key):
                    continue
                self._waiting.add(scene.key)
            self._thread.submit(self._render, scene)

    def close(self) -> None:
        """Drop what has not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _render(self, scene: Scene) -> None:
        try:
            data = render_pyramid(scene)
        except BandsightError as error:
            _LOG.info("%s: not rendered for the map (%s)", scene.name, error)
            data = None
        if data is not None:
            self.save(scene.key, data)
        with self._lock:
            self._waiting.discard(scene.key)
            if not self.has(scene.key):
                self._failed.add(scene.key)
