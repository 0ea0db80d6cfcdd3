"""Reports the duration of each stage of searching and rendering to registered listeners."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Stage = Literal["encode", "filter", "search", "rescore", "render"]
"""Encoding a query, applying a filter, searching vectors, rescoring candidates with full-precision vectors, or reading
and rendering pixels."""

Listener = Callable[[Stage, float], None]
_LISTENERS: list[Listener] = []


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
