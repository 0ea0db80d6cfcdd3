"""Progress reporting: a bar for terminals, and a log in JSON lines."""

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

# Minimum number of columns to show the scene's name and the model's utilisation.
_WIDE = 120
_WIDE_BAR, _NARROW_BAR = 40, 14


class JsonLines:
    """Writes events as JSON lines: begin, opened, failed, saved, committed, note, end."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def on(self, event: Event) -> None:
        """Write an event."""
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


class Bar:
    """A progress bar in tiles. Unopened scenes count with the mean of opened ones."""

    def __init__(self, file: TextIO, width: int | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=file, width=width, force_terminal=True if width else None)
        # Everything fits in 80 columns; otherwise the remaining time would be cut off.
        self._wide = console.width >= _WIDE
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=_WIDE_BAR if self._wide else _NARROW_BAR),
            TextColumn("{task.fields[tiles]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self._task = self.bar.add_task("opening scenes", total=None, tiles="", rate="")
        self._expected = 0
        self._scenes = self._looked_at = self._tiles = self._done = self._failed = 0
        self._busy_s, self._began = 0.0, time.monotonic()

    def on(self, event: Event) -> None:
        """Show an event."""
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
        label = f"{self._looked_at}/{self._scenes} scenes{failed}" + (f"  {name[:30]}" if self._wide else "")
        self._expected = round(expected)
        self.bar.update(self._task, description=label, total=self._expected, tiles=self._counted())

    def _counted(self) -> str:
        return f"{_short(self._done)}/{_short(self._expected)} tiles"

    def _show_tiles(self, count: int) -> None:
        self._done += count
        speed = self.bar.tasks[0].speed
        busy = self._busy_s / max(time.monotonic() - self._began, 1e-6)
        rate = f"{speed:.0f}/s" + (f", model busy {busy:.0%}" if self._wide else "") if speed else ""
        self.bar.update(self._task, completed=self._done, rate=rate, tiles=self._counted())

    def _print(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)


def _short(count: int) -> str:
    """Format a number in at most five characters, e.g. 8,532, 12.3k or 1.2M."""
    if count < 10_000:  # noqa: PLR2004
        return f"{count:,}"
    return f"{count / 1000:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"  # noqa: PLR2004


@contextmanager
def console_progress(*, quiet: bool = False, log: Path | None = None) -> Iterator[Progress]:
    """Yield progress for a job: a bar if stderr is a terminal, and optionally a log in JSON lines.

    Args:
        quiet: Do not show the bar.
        log: File to append to; `-` for standard error.
    """
    listeners: list[Progress] = []
    with ExitStack() as stack:
        if log is not None:
            file = sys.stderr if str(log) == "-" else stack.enter_context(log.open("a", encoding="utf-8"))
            listeners.append(JsonLines(file))
        if not quiet and sys.stderr.isatty() and str(log) != "-":
            bar = Bar(sys.stderr)
            stack.enter_context(bar.bar)
            listeners.append(bar)
        yield CompositeProgress(listeners)
