"""Cooperative cancellation: lets long-running work stop once its result is no longer needed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bandsight.errors import CancelledWorkError

_IS_CANCELLED: ContextVar[Callable[[], bool] | None] = ContextVar("bandsight_is_cancelled", default=None)


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
