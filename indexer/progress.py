"""Those who follow a job: the one-method protocol that a job reports to."""

from collections.abc import Sequence
from typing import Protocol

from indexer.events import Event


class Progress(Protocol):
    """Follows a job. `Committed` comes from another thread than the other events."""

    def on(self, event: Event) -> None:
        """Something has happened."""


class NullProgress:
    """Does nothing."""

    def on(self, event: Event) -> None:
        """Do nothing."""


class CompositeProgress:
    """Passes events on to several others."""

    def __init__(self, listeners: Sequence[Progress]) -> None:
        self._listeners = listeners

    def on(self, event: Event) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.on(event)
