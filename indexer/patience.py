"""Waits for an engine that is away, or that another process keeps busy, instead of failing a job of hours."""

import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bandsight.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE_S = 600.0
_PAUSE_S, _MAX_PAUSE_S = 0.5, 15.0


class Patience:
    """Tries again what meets a `BusyError`, for a while."""

    def __init__(self, noted: Callable[[str], None], limit_s: float = _PATIENCE_S) -> None:
        """Prepare.

        Args:
            noted: Is told for what a job waits, for people.
            limit_s: How long to try, seconds.
        """
        self._noted, self._limit_s = noted, limit_s
        self._over = threading.Event()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that may safely be called again.

        Raises:
            BusyError: It is still so after the limit, or `end` was called.
        """
        until, pause, told = time.monotonic() + self._limit_s, _PAUSE_S, False
        while True:
            try:
                return function(*args, **kwargs)
            except BusyError as error:
                if time.monotonic() > until or self._over.is_set():
                    raise
                if not told:
                    self._noted(f"waiting for the archive: {error}")
                    told = True
            self._over.wait(pause)
            pause = min(2 * pause, _MAX_PAUSE_S)

    def end(self) -> None:
        """Try nothing again from now on: the user has stopped the job."""
        self._over.set()
