"""Events of an indexing job."""

from dataclasses import dataclass

from indexer.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted:
    """The job has started."""

    scenes: int
    """Number of scenes to process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSkipped:
    """A scene was skipped: unchanged, or failed before."""

    name: str
    """Name of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOpened:
    """A scene was opened."""

    name: str
    """Name of the scene."""
    tiles: int
    """Number of tiles to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFailed:
    """A scene failed."""

    name: str
    """Name of the scene."""
    href: str
    """First file of the scene."""
    reason: str
    """Human-readable text."""
    opened: bool
    """Whether the scene had been opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesEncoded:
    """Tiles were embedded."""

    tiles: int
    """Number of them."""
    seconds: float
    """Time in the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesLeftOut:
    """Tiles were read but excluded."""

    tiles: int
    """Number of them."""
    reason: str
    """Human-readable text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """Some tiles of a scene were saved; the scene is committed once all are."""

    name: str
    """Name of the scene."""
    tiles: int
    """Number of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Scenes were committed. Emitted by the writer's thread."""

    scenes: int
    """Number of them."""
    tiles: int
    """Number of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something noteworthy happened."""

    text: str
    """Human-readable text."""
    scene: str = ""
    """Name of the scene it concerns, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished:
    """The job has finished."""

    summary: Summary
    """Summary of the job."""


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
