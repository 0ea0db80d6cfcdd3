"""Says how far a job is: the interface the pipeline speaks to, a bar for terminals, and a log of JSON lines."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from indexer.summary import Summary


class Progress(Protocol):
    """Listens to a job. `committed` comes from another thread than the rest."""

    def begin(self, scenes: int) -> None:
        """So many scenes are to be looked at."""

    def scene_opened(self, name: str, tiles: int) -> None:
        """A scene has so many tiles to read; 0 when it is skipped or has failed."""

    def scene_failed(self, name: str, reason: str) -> None:
        """A scene cannot be indexed."""

    def encoded(self, tiles: int, seconds: float) -> None:
        """The model took so long for so many tiles."""

    def tiles_done(self, count: int) -> None:
        """So many more tiles have been embedded or skipped."""

    def saved(self, name: str, tiles: int) -> None:
        """So many tiles of a scene are on disk, which is shown once it is all there."""

    def committed(self, scenes: int, tiles: int) -> None:
        """So many scenes are in the archive for good."""

    def note(self, text: str) -> None:
        """Something worth knowing was found or decided."""

    def end(self, summary: Summary) -> None:
        """The job is over."""


class NullProgress:
    """Listens and says nothing; also what a listener of few events begins with."""

    def begin(self, scenes: int) -> None:
        """Say nothing."""

    def scene_opened(self, name: str, tiles: int) -> None:
        """Say nothing."""

    def scene_failed(self, name: str, reason: str) -> None:
        """Say nothing."""

    def encoded(self, tiles: int, seconds: float) -> None:
        """Say nothing."""

    def tiles_done(self, count: int) -> None:
        """Say nothing."""

    def saved(self, name: str, tiles: int) -> None:
        """Say nothing."""

    def committed(self, scenes: int, tiles: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def end(self, summary: Summary) -> None:
        """Say nothing."""


class CompositeProgress(NullProgress):
    """Tells several listeners."""

    def __init__(self, listeners: Sequence[Progress]) -> None:
        self._listeners = listeners

    def begin(self, scenes: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.begin(scenes)

    def scene_opened(self, name: str, tiles: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.scene_opened(name, tiles)

    def scene_failed(self, name: str, reason: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.scene_failed(name, reason)

    def encoded(self, tiles: int, seconds: float) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.encoded(tiles, seconds)

    def tiles_done(self, count: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.tiles_done(count)

    def saved(self, name: str, tiles: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.saved(name, tiles)

    def committed(self, scenes: int, tiles: int) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.committed(scenes, tiles)

    def note(self, text: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.note(text)

    def end(self, summary: Summary) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.end(summary)


class JsonLines(NullProgress):
    """Writes what happens as one JSON object on each line: begin, opened, failed, saved, committed, note, end."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()

    def begin(self, scenes: int) -> None:
        """Write it."""
        self._write("begin", scenes=scenes)

    def scene_opened(self, name: str, tiles: int) -> None:
        """Write it, unless there is nothing to read."""
        if tiles:
            self._write("opened", scene=name, tiles=tiles)

    def scene_failed(self, name: str, reason: str) -> None:
        """Write it."""
        self._write("failed", scene=name, reason=reason)

    def saved(self, name: str, tiles: int) -> None:
        """Write it."""
        self._write("saved", scene=name, tiles=tiles)

    def committed(self, scenes: int, tiles: int) -> None:
        """Write it."""
        self._write("committed", scenes=scenes, tiles=tiles)

    def note(self, text: str) -> None:
        """Write it."""
        self._write("note", text=text)

    def end(self, summary: Summary) -> None:
        """Write it."""
        self._write("end", **summary.as_dict())

    def _write(self, event: str, **fields: Any) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class _Bar(NullProgress):
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
        self._scenes = self._opened = self._tiles = self._done = self._failed = 0
        self._busy_s, self._began = 0.0, time.monotonic()

    def begin(self, scenes: int) -> None:
        self._scenes, self._began = scenes, time.monotonic()

    def scene_opened(self, name: str, tiles: int) -> None:
        self._opened += 1
        self._tiles += tiles
        expected = self._tiles + self._tiles / self._opened * (self._scenes - self._opened)
        failed = f", {self._failed} failed" if self._failed else ""
        label = f"scene {self._opened}/{self._scenes}{failed} {name[:40]}"
        self.bar.update(self._task, description=label, total=round(expected))

    def scene_failed(self, name: str, reason: str) -> None:  # noqa: ARG002  (the reason has it)
        self._failed += 1
        self.bar.console.print(f"failed: {reason}", markup=False, highlight=False)

    def note(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)

    def encoded(self, tiles: int, seconds: float) -> None:  # noqa: ARG002  (the tiles come by themselves)
        self._busy_s += seconds

    def tiles_done(self, count: int) -> None:
        self._done += count
        speed = self.bar.tasks[0].speed
        busy = self._busy_s / max(time.monotonic() - self._began, 1e-6)
        rate = f"{speed:.0f} tiles/s, model busy {busy:.0%}" if speed else ""
        self.bar.update(self._task, completed=self._done, rate=rate)


@contextmanager
def console_progress(*, quiet: bool = False, log: Path | None = None) -> Iterator[Progress]:
    """Yield a listener: a bar where stderr is a terminal, and a log of JSON lines where one is asked for.

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
