"""Progress for people and programs: a bar for terminals, and a log of JSON lines."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from indexer.events import (
    CheckpointSaved,
    Committed,
    Event,
    JobFinished,
    JobStarted,
    Note,
    SceneFailed,
    SceneOpened,
    SceneSkipped,
    TilesEncoded,
    TilesLeftOut,
)
from indexer.progress import CompositeProgress, Progress


class JsonLines:
    """Writes events as one JSON object on each line: begin, opened, failed, saved, committed, note, end."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def on(self, event: Event) -> None:
        """Write it."""
        match event:
            case JobStarted():
                self._write("begin", scenes=event.scenes)
            case SceneOpened():
                self._write("opened", scene=event.name, tiles=event.tiles)
            case SceneFailed():
                self._write("failed", scene=event.name, reason=event.reason)
            case CheckpointSaved():
                self._write("saved", scene=event.name, tiles=event.tiles)
            case Committed():
                self._write("committed", scenes=event.scenes, tiles=event.tiles)
            case Note():
                self._write("note", text=event.text)
            case JobFinished():
                self._write("end", **event.summary.as_dict())
            case _:
                pass

    def _write(self, event: str, **fields: Any) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class _Bar:
    """A bar of tiles; scenes not opened yet count with the mean of those that were."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        )
        self._task = self.bar.add_task("reading", total=None, rate="")
        self._scenes = self._looked_at = self._tiles = self._done = self._failed = 0
        self._busy_s, self._began = 0.0, time.monotonic()

    def on(self, event: Event) -> None:
        match event:
            case JobStarted():
                self._scenes, self._began = event.scenes, time.monotonic()
            case SceneOpened():
                self._show_scene(event.name, event.tiles)
            case SceneSkipped():
                self._show_scene(event.name, 0)
            case SceneFailed():
                self._failed += 1
                self._print(f"failed: {event.reason}")
                if not event.opened:
                    self._show_scene(event.name, 0)
            case Note():
                self._print(event.text)
            case TilesEncoded():
                self._busy_s += event.seconds
                self._show_tiles(event.tiles)
            case TilesLeftOut():
                self._show_tiles(event.tiles)
            case _:
                pass

    def _show_scene(self, name: str, tiles: int) -> None:
        self._looked_at += 1
        self._tiles += tiles
        expected = self._tiles + self._tiles / self._looked_at * (self._scenes - self._looked_at)
        failed = f", {self._failed} failed" if self._failed else ""
        label = f"scene {self._looked_at}/{self._scenes}{failed} {name[:40]}"
        self.bar.update(self._task, description=label, total=round(expected))

    def _show_tiles(self, count: int) -> None:
        self._done += count
        speed = self.bar.tasks[0].speed
        busy = self._busy_s / max(time.monotonic() - self._began, 1e-6)
        rate = f"{speed:.0f} tiles/s, model busy {busy:.0%}" if speed else ""
        self.bar.update(self._task, completed=self._done, rate=rate)

    def _print(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)


@contextmanager
def console_progress(*, quiet: bool = False, log: Path | None = None) -> Iterator[Progress]:
    """Yield what follows a job: a bar where stderr is a terminal, and a log of JSON lines where one is given.

    Args:
        quiet: No bar.
        log: File to append to; `-` is standard error.
    """
    listeners: list[Progress] = []
    with ExitStack() as stack:
        if log is not None:
            file = sys.stderr if str(log) == "-" else stack.enter_context(log.open("a", encoding="utf-8"))
            listeners.append(JsonLines(file))
        if not quiet and sys.stderr.isatty() and str(log) != "-":
            bar = _Bar()
            stack.enter_context(bar.bar)
            listeners.append(bar)
        yield CompositeProgress(listeners)
