"""The export formats: the API, its OpenAPI document, the client, the command line and the page list these.

To add one, write a class with the members of `ExportFormat` and add it to `_FORMATS`, or pass it to `register`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bandsight.errors import QueryError
from bandsight.export.csv_table import Csv
from bandsight.export.geojson import GeoJson
from bandsight.export.geoparquet import GeoParquet

if TYPE_CHECKING:
    from bandsight.export.item_page import ItemPage


class Pages(Protocol):
    """Results as a format reads them; see `bandsight.export.pages.ResultPages`."""

    @property
    def vector_dim(self) -> int | None:
        """Length of a vector; None when no vectors were requested."""

    @property
    def property_names(self) -> Iterable[str]:
        """Names of the properties that scenes of the archive have."""

    def summary(self) -> dict[str, Any]:
        """Return what describes the result as a whole: counts, model, generation."""

    def __iter__(self) -> "Iterator[ItemPage]":
        """Yield the pages; only one is in memory at a time."""


class ExportFormat(Protocol):
    """A file format for results of any length."""

    @property
    def name(self) -> str:
        """What requests call it, e.g. `csv`."""

    @property
    def title(self) -> str:
        """What people read, e.g. `CSV`."""

    @property
    def media_type(self) -> str:
        """The Content-Type of a file."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of its files, in lower case with a dot; the first is the one that new files get."""

    def stream(self, pages: Pages) -> Iterator[bytes]:
        """Yield a file in parts.

        Args:
            pages: The results; iterate once.
        """


_FORMATS: dict[str, ExportFormat] = {one.name: one for one in (GeoJson(), Csv(), GeoParquet())}


def formats() -> tuple[ExportFormat, ...]:
    """Return all formats, the default first."""
    return tuple(_FORMATS.values())


def format_named(name: str) -> ExportFormat:
    """Return a format by its name.

    Raises:
        QueryError: There is none.
    """
    try:
        return _FORMATS[name]
    except KeyError as error:
        raise QueryError(f"format: found {name[:60]!r}; need one of {', '.join(_FORMATS)}") from error


def format_of(path: Path) -> ExportFormat:
    """Return the format that a file's suffix stands for.

    Raises:
        QueryError: The suffix stands for none.
    """
    suffix = path.suffix.lower()
    for one in _FORMATS.values():
        if suffix in one.suffixes:
            return one
    known = ", ".join(suffix for one in _FORMATS.values() for suffix in one.suffixes)
    raise QueryError(f"{path}: found {suffix or 'no suffix'}; need one of {known}")


def register(added: ExportFormat) -> None:
    """Add a format for this process; APIs that are made afterwards offer it.

    Raises:
        ValueError: Its name or one of its suffixes is taken.
    """
    taken = {suffix for one in _FORMATS.values() for suffix in one.suffixes}
    if added.name in _FORMATS or taken & set(added.suffixes):
        raise ValueError(f"export format {added.name}: its name or suffix is taken")
    _FORMATS[added.name] = added


def unregister(name: str) -> None:
    """Remove a format that `register` added."""
    del _FORMATS[name]
