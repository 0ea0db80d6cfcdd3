"""Progress listeners: the protocol that a job reports to."""

from collections.abc import Sequence
from typing import Protocol

from indexer.events import Event


class Progress(Protocol):
    """Receives the events of a job. `Committed` comes from a different thread than other events."""

    def on(self, event: Event) -> None:
        """Handle an event."""


class NullProgress:
    """Ignores all events."""

    def on(self, event: Event) -> None:
        """Do nothing."""


class CompositeProgress:
    """Forwards events to several listeners."""

    def __init__(self, listeners: Sequence[Progress]) -> None:
        self._listeners = listeners

    def on(self, event: Event) -> None:
        """Forward an event."""
        for listener in self._listeners:
            listener.on(event)
