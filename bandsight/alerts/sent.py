"""The outcome of sending a message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Whether a receiver accepted a message."""

    error: str = ""
    """Why it did not; empty if it did."""
    answered: bool = True
    """Whether the receiver answered at all."""
