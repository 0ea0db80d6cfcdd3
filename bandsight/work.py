"""The work of a request, from wherever it runs: whether it has been cancelled, and how long its stages take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from bandsight.errors import CancelledWorkError

Stage = Literal["encode", "filter", "search", "rescore", "render"]
"""Encoding a query, applying a filter, searching vectors, rescoring candidates with full-precision vectors, or reading
and rendering pixels."""

Listener = Callable[[Stage, float], None]
_LISTENERS: list[Listener] = []
_IS_CANCELLED: ContextVar[Callable[[], bool] | None] = ContextVar("bandsight_is_cancelled", default=None)


def add_listener(listener: Listener) -> None:
    """Call `listener(stage, seconds)` after each stage, in the thread that ran it."""
    _LISTENERS.append(listener)


def remove_listener(listener: Listener) -> None:
    """Stop calling a listener."""
    _LISTENERS.remove(listener)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Time the body as a stage."""
    if not _LISTENERS:
        yield
        return
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        for listener in tuple(_LISTENERS):
            listener(name, seconds)


@contextmanager
def cancelled_when(is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Make `check_cancelled` raise in the body once `is_cancelled` returns True. Copies of the context inherit it."""
    token = _IS_CANCELLED.set(is_cancelled)
    try:
        yield
    finally:
        _IS_CANCELLED.reset(token)


def check_cancelled() -> None:
    """Raise if the current work has been cancelled. Call this between steps.

    Raises:
        CancelledWorkError: The work has been cancelled.
    """
    is_cancelled = _IS_CANCELLED.get()
    if is_cancelled is not None and is_cancelled():
        raise CancelledWorkError("cancelled: the client has closed the connection")
