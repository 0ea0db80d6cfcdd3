"""What speaks for a sensor profile, and how much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that speaks for a profile."""

    kind: str
    """What it is: `product name`, `band names`, `descriptions`, `colours`, …"""
    found: str
    """What was found, for people."""
    score: float
    """How much it speaks for the profile."""
