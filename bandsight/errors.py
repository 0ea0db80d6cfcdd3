"""Errors shown to users: one base class, and a subclass wherever callers handle an error differently."""

from collections.abc import Iterator
from contextlib import contextmanager


class BandsightError(Exception):
    """Base class for all errors that carry a message for the user."""


class WavelengthError(BandsightError):
    """Wavelengths do not match the bands, or are not in µm."""


class ModelError(BandsightError):
    """A model cannot be loaded, or fails its self-test."""


class ModelMismatchError(ModelError):
    """The archive's vectors were computed by a different model."""


class ModelChangedError(ModelMismatchError):
    """An open archive was replaced by one built with another model, and must be reopened."""


class SensorError(BandsightError):
    """No sensor profile matches, or bands required by the profile are missing."""


class SettingsError(BandsightError):
    """The program's settings are invalid or unsafe."""


class SceneError(BandsightError):
    """A scene cannot be read or georeferenced. The job skips it and continues."""


class ArchiveError(BandsightError):
    """An archive is missing, damaged, or in an unknown format."""


class ArchiveLockedError(ArchiveError):
    """Another process is writing to the archive."""


class NotFoundError(BandsightError):
    """The archive has no tile, scene or other object with this id."""


class QueryError(BandsightError):
    """A query or filter is invalid."""


class ImageError(QueryError):
    """A query image is damaged, unsupported or too large."""


class BusyError(BandsightError):
    """A limited resource is in use. Retrying later may succeed."""


class ArchiveReplacedError(ArchiveError):
    """An open archive was deleted, or replaced by another, and must be reopened."""


class CancelledWorkError(BandsightError):
    """The caller no longer needs the result, so the work was stopped."""


class EngineUnavailableError(BusyError):
    """A database or vector engine is unreachable. Retrying may succeed once it is back."""


class MissingExtraError(BandsightError):
    """A feature needs an optional dependency that is not installed."""


@contextmanager
def needs_extra(extra: str, feature: str) -> Iterator[None]:
    """Turn a failed import in the body into advice on which extra to install.

    Args:
        extra: Name of the extra, as in `pip install 'bandsight[NAME]'`.
        feature: What needs the package, e.g. `Clustering`; the message starts with it.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{feature} needs the package {error.name}, which is not installed; pip install 'bandsight[{extra}]'"
        ) from error
