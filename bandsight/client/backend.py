"""The backend port: what a client needs from a local archive or a server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bandsight.client.alerts import AlertBackend
from bandsight.client.atlas import AtlasBackend
from bandsight.client.labels import LabelBackend

if TYPE_CHECKING:
    from bandsight.export.formats import ExportFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsPage:
    """A page of results."""

    document: dict[str, Any]
    """The FeatureCollection of STAC Items."""
    next: Callable[[int], "ItemsPage"] | None
    """Returns the next page with at most the given number of items; None on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A saved search."""

    id: str
    """Sixteen hexadecimal digits."""
    title: str
    """Human-readable title."""
    hits: int
    """Maximum number of hits."""
    url: str | None
    """Root of the STAC API of its hits; None for a local archive."""


class Backend(Protocol):
    """Handles requests with the bodies of the HTTP API.

    Methods raise BandsightError with a message that states what was found and what is needed.
    """

    @property
    def labels(self) -> LabelBackend:
        """Requests about labels."""

    @property
    def alerts(self) -> AlertBackend:
        """Requests about subscriptions and alerts."""

    @property
    def atlas(self) -> AtlasBackend:
        """Requests about the atlas."""

    def search(self, body: dict[str, Any], limit: int) -> ItemsPage:
        """Return the first page of at most `limit` results; `body` is a `SearchBody` without limit."""

    def item(self, tile_id: int) -> dict[str, Any]:
        """Return a tile as a STAC Item."""

    def collections(self) -> list[dict[str, Any]]:
        """Return the STAC Collections."""

    def crop(self, tile_id: int, path: Path) -> None:
        """Write a tile as GeoTIFF with all bands and their wavelengths."""

    def thumbnail(self, tile_id: int, params: dict[str, Any]) -> bytes:
        """Return a tile as PNG; `params` as for `/tiles/ID/thumbnail.png`."""

    def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the best labels; `body` is a `ClassifyBody`."""

    def heatmap(self, body: dict[str, Any]) -> bytes:
        """Return a PNG or GeoTIFF; `body` is a `HeatmapBody`."""

    def export(self, body: dict[str, Any], path: Path, chosen: "ExportFormat", *, vectors: bool) -> None:
        """Write results to a file; `body` is an `ExportBody`."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return places that changed between two periods; `body` is a `ChangeBody`."""

    def change_map(self, body: dict[str, Any]) -> bytes:
        """Return a heat map of change as PNG or GeoTIFF; `body` is a `ChangeMapBody`."""

    def timeline(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the dates of a place; `body` is a `TimelineBody`."""

    def save(self, body: dict[str, Any]) -> SavedSearch:
        """Save a search; `body` is a `SaveSearchBody`."""

    def close(self) -> None:
        """Release connections or files."""
