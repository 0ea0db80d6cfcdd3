"""Registry of export formats, used by the API, its OpenAPI document, the client, the command line and the web page.

To add a format, implement `ExportFormat` and add it to `_FORMATS`, or pass it to `register`.
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
    """Results as seen by a format; see `bandsight.export.pages.ResultPages`."""

    @property
    def vector_dim(self) -> int | None:
        """Length of a vector; None if no vectors were requested."""

    @property
    def property_names(self) -> Iterable[str]:
        """Names of the scene properties in the archive."""

    def summary(self) -> dict[str, Any]:
        """Return metadata of the whole result: counts, model, generation."""

    def __iter__(self) -> "Iterator[ItemPage]":
        """Yield the pages, one in memory at a time."""


class ExportFormat(Protocol):
    """A file format for results of any length."""

    @property
    def name(self) -> str:
        """Name in requests, e.g. `csv`."""

    @property
    def title(self) -> str:
        """Human-readable name, e.g. `CSV`."""

    @property
    def media_type(self) -> str:
        """Media type of a file."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File suffixes, lower case with a dot; the first one is used for new files."""

    def stream(self, pages: Pages) -> Iterator[bytes]:
        """Yield a file in chunks.

        Args:
            pages: The results; iterate once.
        """


_FORMATS: dict[str, ExportFormat] = {one.name: one for one in (GeoJson(), Csv(), GeoParquet())}


def formats() -> tuple[ExportFormat, ...]:
    """Return all formats, the default first."""
    return tuple(_FORMATS.values())


def format_named(name: str) -> ExportFormat:
    """Return a format by name.

    Raises:
        QueryError: There is no such format.
    """
    try:
        return _FORMATS[name]
    except KeyError as error:
        raise QueryError(f"format: found {name[:60]!r}; need one of {', '.join(_FORMATS)}") from error


def format_of(path: Path) -> ExportFormat:
    """Return the format for a file's suffix.

    Raises:
        QueryError: The suffix is unknown.
    """
    suffix = path.suffix.lower()
    for one in _FORMATS.values():
        if suffix in one.suffixes:
            return one
    known = ", ".join(suffix for one in _FORMATS.values() for suffix in one.suffixes)
    raise QueryError(f"{path}: found {suffix or 'no suffix'}; need one of {known}")


def register(added: ExportFormat) -> None:
    """Add a format in this process. APIs created afterwards offer it.

    Raises:
        ValueError: Its name or a suffix is already in use.
    """
    taken = {suffix for one in _FORMATS.values() for suffix in one.suffixes}
    if added.name in _FORMATS or taken & set(added.suffixes):
        raise ValueError(f"export format {added.name}: its name or suffix is already in use")
    _FORMATS[added.name] = added


def unregister(name: str) -> None:
    """Remove a format added by `register`."""
    del _FORMATS[name]
