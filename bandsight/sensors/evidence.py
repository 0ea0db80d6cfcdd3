"""Evidence for a sensor profile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A piece of evidence for a profile."""

    kind: str
    """Kind of evidence: `product name`, `band names`, `descriptions`, `colours`, …"""
    found: str
    """What was found, as text for the user."""
    score: float
    """Weight of the evidence."""
