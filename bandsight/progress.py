"""Reports how far long work has come to a listener, e.g. the process that runs a job."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

FILE_VARIABLE = "BANDSIGHT_PROGRESS_FILE"
"""Environment variable of a job's process: the file for the share of its work that is done, 0..1."""
_T = TypeVar("_T")
_LISTENERS: list[Callable[[float], None]] = []
_PHASE: ContextVar[tuple[float, float]] = ContextVar("bandsight_phase", default=(0.0, 1.0))


@contextmanager
def listening(listener: Callable[[float], None]) -> Iterator[None]:
    """Call `listener(share)` in the body whenever work reports how much of it is done, 0..1."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


@contextmanager
def phase(first: float, last: float) -> Iterator[None]:
    """Count what the body reports as the part from `first` to `last` of the work around it."""
    start, end = _PHASE.get()
    token = _PHASE.set((start + first * (end - start), start + last * (end - start)))
    try:
        yield
    finally:
        _PHASE.reset(token)


def report(share: float) -> None:
    """Report that a share of the present phase is done, 0..1."""
    if _LISTENERS:
        start, end = _PHASE.get()
        for listener in tuple(_LISTENERS):
            listener(start + min(max(share, 0.0), 1.0) * (end - start))


def counted(items: Iterable[_T], total: int) -> Iterator[_T]:
    """Yield items, and report each as one of `total` once it has been processed."""
    for number, item in enumerate(items, start=1):
        yield item
        report(number / max(total, 1))
