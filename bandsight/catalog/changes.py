"""Scenes added and removed since a commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneChanges:
    """The difference between two committed states of an archive, by scene ids, which are never reused."""

    generation: int
    """Generation of the newer state; pass it as `since` next time."""
    everything: bool
    """True if the older state is unavailable: too old, from another model, or never existed. Then all scenes count as
    added, and removed scenes are unknown."""
    added: tuple[int, ...]
    """Scenes that exist now but not then, ascending."""
    removed: tuple[int, ...]
    """Scenes that existed then but not now, ascending."""
    replaced: Mapping[int, int] = field(default_factory=dict)
    """Successor of each scene in `removed` that was reindexed."""
