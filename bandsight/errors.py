"""Errors shown to users: one base class, and a subclass wherever callers handle an error differently."""

from collections.abc import Iterator
from contextlib import contextmanager


class BandsightError(Exception):
    """Base class of errors with a message for the user."""


class WavelengthError(BandsightError):
    """A list of wavelengths does not fit the bands, or is not in µm."""


class ModelError(BandsightError):
    """A model cannot be loaded, or fails its self-test."""


class ModelMismatchError(ModelError):
    """An archive holds vectors of another model than the one in use."""


class ModelChangedError(ModelMismatchError):
    """An open archive was replaced by one with another model, and must be reopened."""


class SensorError(BandsightError):
    """No sensor profile matches, or the bands that a profile needs are missing."""


class SettingsError(BandsightError):
    """The settings of a program are invalid or unsafe."""


class SceneError(BandsightError):
    """A scene cannot be read or georeferenced. The job continues without it."""


class ArchiveError(BandsightError):
    """An archive is missing, damaged, or of an unknown format."""


class ArchiveLockedError(ArchiveError):
    """Another process is writing to the archive."""


class NotFoundError(BandsightError):
    """The archive has no tile, scene or other object of this id."""


class QueryError(BandsightError):
    """A query or filter is invalid."""


class ImageError(QueryError):
    """A query image cannot be decoded within the limits."""


class BusyError(BandsightError):
    """A limited resource is in use; the same request may succeed later."""


class ArchiveReplacedError(ArchiveError):
    """An open archive was deleted, or replaced by another, and must be reopened."""


class CancelledWorkError(BandsightError):
    """Nobody waits for the result of this work any more."""


class EngineUnavailableError(BusyError):
    """A database or a vector engine cannot be reached; the same request may succeed once it is back."""


class MissingExtraError(BandsightError):
    """A feature needs an extra that is not installed."""


@contextmanager
def needs_extra(extra: str, feature: str) -> Iterator[None]:
    """Explain how to install an extra when an import in the body fails.

    Args:
        extra: Name of the extra, as in `pip install 'bandsight[NAME]'`.
        feature: What the packages are needed for; it begins the message.

    Raises:
        MissingExtraError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{feature} needs the package {error.name}, which is not installed; pip install 'bandsight[{extra}]'"
        ) from error
