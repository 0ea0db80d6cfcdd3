"""Reports how long the stages of a search and of rendering take, to whoever measures them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Stage = Literal["encode", "filter", "search", "rescore", "render"]
"""A stage: a model encodes a query; a filter is applied; vectors are searched; candidates are rescored with full
vectors; pixels are read and rendered."""

Listener = Callable[[Stage, float], None]
_LISTENERS: list[Listener] = []


def add_listener(listener: Listener) -> None:
    """Call a function with each stage and its seconds, from the thread that ran it."""
    _LISTENERS.append(listener)


def remove_listener(listener: Listener) -> None:
    """Stop calling a function."""
    _LISTENERS.remove(listener)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Measure the body as a stage."""
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
