"""Search results: Items read page by page, or as a table, thumbnails or a file."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandsight.client.backend import Backend, ItemsPage, SavedSearch
from bandsight.errors import QueryError, needs_extra

if TYPE_CHECKING:
    import geopandas
    import pystac
    from PIL.Image import Image

_PAGE = 250
_QUOTED_CHARS = 60
# Removed, because pystac would follow these links.
_UPWARDS = frozenset({"root", "parent", "collection"})


class Results:
    """The results of a search, up to its limit. Pages are read lazily, once each."""

    def __init__(self, backend: Backend, body: dict[str, Any], limit: int) -> None:
        """Initialize without reading anything.

        Args:
            backend: Backend that runs the search.
            body: The body of POST /search, without limit.
            limit: Maximum number of items.

        Raises:
            QueryError: The limit is below 1.
        """
        if limit < 1:
            raise QueryError(f"limit: found {limit}; need at least 1")
        self._backend, self._body, self._limit = backend, body, limit
        self._features: list[dict[str, Any]] = []
        self._first: ItemsPage | None = None
        self._last: ItemsPage | None = None

    def __iter__(self) -> "Iterator[pystac.Item]":
        """Yield Items in order."""
        import pystac

        for feature in self.features():
            links = [link for link in feature.get("links", ()) if link["rel"] not in _UPWARDS]
            yield pystac.Item.from_dict({**feature, "links": links}, preserve_dict=True)

    def __len__(self) -> int:
        """Return the number of items, at most the limit. Reads all of them."""
        return sum(1 for _ in self.features())

    def __repr__(self) -> str:
        """Describe the query and how many results have been read, without reading any."""
        semantic = self._body.get("semantic", {})
        likes = [_name(one) for one in semantic.get("positive", ())]
        unlike = [f"not {_name(one)}" for one in semantic.get("negative", ())]
        others = [name for name in self._body if name != "semantic"]
        query = ", ".join([*likes, *unlike, *others]) or "all items"
        found = "nothing read yet"
        if self._first is not None:
            matched = self._first.document.get("numberMatched")
            found = f"{len(self._features)} read" + ("" if matched is None else f" of {matched} that match")
        return f"<bandsight.Results {query[:200]}; limit {self._limit}, {found}>"

    def features(self) -> Iterator[dict[str, Any]]:
        """Yield the items as dictionaries (GeoJSON Features)."""
        at = 0
        while at < self._limit:
            if at == len(self._features) and not self._read():
                return
            yield self._features[at]
            at += 1

    @property
    def matched(self) -> int | None:
        """Number of matching items, regardless of the limit; None if unknown."""
        found: int | None = self._document.get("numberMatched")
        return found

    @property
    def nothing_matches(self) -> bool | None:
        """Whether no hit is a likely match; None if unknown, e.g. for imagery without calibration."""
        found: bool | None = self._document.get("nothing_matches")
        return found

    @property
    def generation(self) -> int:
        """The commit of the archive that was searched."""
        return int(self._document["generation"])

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return a GeoDataFrame with one row per item: id, collection, properties and footprint (EPSG:4326).

        Raises:
            MissingExtraError: geopandas is not installed.
        """
        with needs_extra("geopandas", "to_geodataframe"):
            import geopandas
        import shapely.geometry

        found = list(self.features())
        rows = [{"id": one["id"], "collection": one["collection"], **one["properties"]} for one in found]
        shapes = [shapely.geometry.shape(one["geometry"]) for one in found]
        return geopandas.GeoDataFrame(rows, geometry=shapes, crs="EPSG:4326")

    def thumbnails(
        self,
        size: int = 128,
        *,
        style: str | None = None,
        bands: str | Sequence[str] | None = None,
        rescale: str | Sequence[float] | None = None,
        colormap: str | None = None,
        stretch: str = "scene",
    ) -> "list[Image]":
        """Return a thumbnail of each tile.

        Args:
            size: Width and height, pixels.
            style: Name of one of the sensor's styles.
            bands: One band, or three for red, green and blue; cannot be combined with a style.
            rescale: Stored values mapped to 0 and 255: low, high, for all bands or for each.
            colormap: Colormap for a single band.
            stretch: `scene` uses one stretch for the whole scene, as on the map; `tile` stretches each image to its own
                values.

        Raises:
            SceneError: A file of a scene is missing.
        """
        from PIL import Image

        params: dict[str, Any] = {"size": size, "stretch": stretch, "style": style, "colormap": colormap}
        params |= {"bands": _joined(bands), "rescale": _joined(rescale)}
        given = {name: value for name, value in params.items() if value is not None}
        tiles = [int(one["id"]) for one in self.features() if one["id"].isdecimal()]
        return [Image.open(io.BytesIO(self._backend.thumbnail(tile, given))) for tile in tiles]

    def export(self, path: str | Path, *, vectors: bool = False) -> Path:
        """Write the items to a file; the suffix selects the format: .geojson, .csv, .parquet.

        Args:
            path: Output file.
            vectors: Include each tile's vector.

        Raises:
            QueryError: The suffix is unknown.
        """
        from bandsight.export.formats import format_of

        target = Path(path)
        self._backend.export(self._body | {"limit": self._limit}, target, format_of(target), vectors=vectors)
        return target

    def save(self, title: str = "") -> SavedSearch:
        """Save the search in the archive. A server provides its hits as a STAC API, for QGIS, GDAL and pystac-client.

        Raises:
            QueryError: It is not a search by meaning, or its limit is above 10,000.
        """
        return self._backend.save(self._body | {"hits": self._limit, **({"title": title} if title else {})})

    @property
    def _document(self) -> dict[str, Any]:
        if self._first is None:
            self._read()
        assert self._first is not None
        return self._first.document

    def _read(self) -> bool:
        """Read the next page. Returns whether it has items."""
        limit = min(_PAGE, self._limit - len(self._features))
        if self._last is None:
            page = self._backend.search(self._body, limit)
            self._first = page
        elif self._last.next is None:
            return False
        else:
            page = self._last.next(limit)
        self._last = page
        found: list[dict[str, Any]] = page.document["features"]
        self._features += found
        return bool(found)


def _name(given: dict[str, Any]) -> str:
    """Return an example as text for `__repr__`."""
    for kind in ("text", "point", "id"):
        if kind in given:
            return f"tile {given[kind]}" if kind == "id" else repr(given[kind])[:_QUOTED_CHARS]
    return next(iter(given), "example")


def _joined(given: Any) -> str | None:
    return given if given is None or isinstance(given, str) else ",".join(map(str, given))
