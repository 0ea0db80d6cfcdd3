"""Which scenes have come and gone since a commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneChanges:
    """The difference between two committed states of an archive, by ids of scenes, which are never used twice."""

    generation: int
    """The newer state; pass it as `since` to continue."""
    everything: bool
    """True where the older state is out of reach: it is too long ago, of another model, or was never here. Then all
    scenes count as added, and what has been removed is unknown."""
    added: tuple[int, ...]
    """Scenes that exist now and did not then, ascending."""
    removed: tuple[int, ...]
    """Scenes that existed then and do not now, ascending."""
    replaced: Mapping[int, int] = field(default_factory=dict)
    """For those of `removed` that have been indexed again: the scene that exists now in their place."""
