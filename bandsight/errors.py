"""Every error a user can meet: one base class, a leaf wherever somebody handles it differently."""

from collections.abc import Iterator
from contextlib import contextmanager


class BandsightError(Exception):
    """Base of all errors whose message is written for the user."""


class WavelengthError(BandsightError):
    """A list of wavelengths does not fit the bands, or is not in µm."""


class ModelError(BandsightError):
    """A model cannot be loaded, or fails its self-test."""


class ModelMismatchError(ModelError):
    """An archive holds vectors of another model than the one at hand."""


class ModelChangedError(ModelMismatchError):
    """An archive that is open has been given another model since, and must be opened anew."""


class SensorError(BandsightError):
    """No sensor profile fits, or the bands that a profile needs are not there."""


class SettingsError(BandsightError):
    """A program is set up in a way that it refuses to run in."""


class SceneError(BandsightError):
    """A scene cannot be read or placed on Earth; the job goes on without it."""


class ArchiveError(BandsightError):
    """An archive is missing, damaged, or of a format this version does not know."""


class ArchiveLockedError(ArchiveError):
    """Another process is writing to the archive."""


class NotFoundError(BandsightError):
    """A tile or scene id that the archive does not hold."""


class QueryError(BandsightError):
    """A query or filter that cannot be answered as asked."""


class ImageError(QueryError):
    """A query image that cannot be decoded within the limits."""


class BusyError(BandsightError):
    """Others take all that there is of something; the same request may be answered later."""


class MissingExtraError(BandsightError):
    """A feature needs packages of an extra that is not installed."""


@contextmanager
def needs_extra(extra: str, feature: str) -> Iterator[None]:
    """Explain how to install an extra when an import in the body fails.

    Args:
        extra: Name of the extra, as `pip install 'bandsight[NAME]'` takes it.
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
