"""Collects events into a summary."""

import threading

from indexer.events import Committed, Event, Note, SceneFailed, SceneSkipped, TilesEncoded, TilesLeftOut
from indexer.summary import Summary


class Tally:
    """Keeps the summary of a job up to date."""

    def __init__(self) -> None:
        self.summary, self._lock = Summary(), threading.Lock()

    def on(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            match event:
                case SceneSkipped():
                    self.summary.skipped_scenes += 1
                case SceneFailed():
                    self.summary.failed.append((event.name, event.reason))
                case Note() if event.scene:
                    self.summary.notes.append((event.scene, event.text))
                case TilesEncoded():
                    self.summary.encode_s += event.seconds
                case TilesLeftOut():
                    self.summary.skipped_tiles[event.reason] += event.tiles
                case Committed():
                    self.summary.scenes += event.scenes
                    self.summary.tiles += event.tiles
                case _:
                    pass
