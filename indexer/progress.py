"""Says how far a job is: the interface the pipeline speaks to, and a bar for terminals."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Listens to a job."""

    def begin(self, scenes: int) -> None:
        """So many scenes are to be looked at."""

    def scene_opened(self, name: str, tiles: int) -> None:
        """A scene has so many tiles to read; 0 when it is skipped or has failed."""

    def tiles_done(self, count: int) -> None:
        """So many more tiles have been embedded or skipped."""


class Silence:
    """Listens and says nothing."""

    def begin(self, scenes: int) -> None:
        """Say nothing."""

    def scene_opened(self, name: str, tiles: int) -> None:
        """Say nothing."""

    def tiles_done(self, count: int) -> None:
        """Say nothing."""


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
        self._scenes = self._opened = self._tiles = self._done = 0

    def begin(self, scenes: int) -> None:
        self._scenes = scenes

    def scene_opened(self, name: str, tiles: int) -> None:
        self._opened += 1
        self._tiles += tiles
        expected = self._tiles + self._tiles / self._opened * (self._scenes - self._opened)
        label = f"scene {self._opened}/{self._scenes} {name[:40]}"
        self.bar.update(self._task, description=label, total=round(expected))

    def tiles_done(self, count: int) -> None:
        self._done += count
        speed = self.bar.tasks[0].speed
        self.bar.update(self._task, completed=self._done, rate=f"{speed:.0f} tiles/s" if speed else "")


@contextmanager
def console_progress() -> Iterator[Progress]:
    """Yield a bar on stderr, or silence when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield Silence()
        return
    listener = _Bar()
    with listener.bar:
        yield listener
