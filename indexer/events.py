"""What happens in an indexing job, as values: one type for each event."""

from dataclasses import dataclass

from indexer.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """The scenes are known, and the job begins."""

    scenes: int
    """To be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSkipped:
    """A scene is in the archive already, unchanged, or has failed before."""

    name: str
    """Of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOpened:
    """A scene is open."""

    name: str
    """Of the scene."""
    tiles: int
    """To be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFailed:
    """A scene cannot be indexed."""

    name: str
    """Of the scene."""
    href: str
    """Its first file."""
    reason: str
    """For people."""
    opened: bool
    """Whether it had been opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesEncoded:
    """The model has embedded tiles."""

    tiles: int
    """How many."""
    seconds: float
    """That the model took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesLeftOut:
    """Tiles were read and are not embedded."""

    tiles: int
    """How many."""
    reason: str
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """Some tiles of a scene are on disk; the scene is shown when all are."""

    name: str
    """Of the scene."""
    tiles: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Scenes are in the archive for good. Comes from the writer's thread."""

    scenes: int
    """How many."""
    tiles: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something worth knowing was found or decided."""

    text: str
    """For people."""
    scene: str = ""
    """Name of the scene that it is about, if it is about one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished:
    """The job is over."""

    summary: Summary
    """What it did."""


Event = (
    JobStarted
    | SceneSkipped
    | SceneOpened
    | SceneFailed
    | TilesEncoded
    | TilesLeftOut
    | CheckpointSaved
    | Committed
    | Note
    | JobFinished
)
