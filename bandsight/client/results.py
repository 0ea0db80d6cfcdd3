"""Results of a search: Items, read a page at a time; as a table, as thumbnails, as a file."""

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
# pystac would follow these on its own.
_UPWARDS = frozenset({"root", "parent", "collection"})


class Results:
    """The results of a search, up to its limit; pages are read when they are needed, each once."""

    def __init__(self, backend: Backend, body: dict[str, Any], limit: int) -> None:
        """Prepare; nothing is read yet.

        Args:
            backend: Answers the search.
            body: The body of POST /search, without limit.
            limit: Most items.

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
        """Yield Items in the order of the search."""
        import pystac

        for feature in self.features():
            links = [link for link in feature.get("links", ()) if link["rel"] not in _UPWARDS]
            yield pystac.Item.from_dict({**feature, "links": links}, preserve_dict=True)

    def __len__(self) -> int:
        """Return how many items there are, at most the limit; reads them all."""
        return sum(1 for _ in self.features())

    def __repr__(self) -> str:
        """Return the query and how much of its results has been read; reads nothing."""
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
        """Number of items that match, regardless of the limit; None until all of them have been read."""
        found: int | None = self._document.get("numberMatched")
        return found

    @property
    def nothing_matches(self) -> bool | None:
        """Whether no hit is likely to be right; None where that is not known, e.g. of imagery without a calibration."""
        found: bool | None = self._document.get("nothing_matches")
        return found

    @property
    def generation(self) -> int:
        """The commit of the archive that was searched."""
        return int(self._document["generation"])

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return a row for each item: id, collection, properties and footprint (EPSG:4326).

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
        """Return a picture of each tile among the items.

        Args:
            size: Pixels along each side.
            style: Name of a style of the sensor.
            bands: One band, or three for red, green and blue; not together with a style.
            rescale: Stored numbers that become 0 and 255: low, high, for all bands or for each.
            colormap: Colours of a single band.
            stretch: `scene` is one stretch for the whole scene, as on the map; `tile` stretches each picture to its own
                content.

        Raises:
            SceneError: The file of a scene is missing.
        """
        from PIL import Image

        params: dict[str, Any] = {"size": size, "stretch": stretch, "style": style, "colormap": colormap}
        params |= {"bands": _joined(bands), "rescale": _joined(rescale)}
        given = {name: value for name, value in params.items() if value is not None}
        tiles = [int(one["id"]) for one in self.features() if one["id"].isdecimal()]
        return [Image.open(io.BytesIO(self._backend.thumbnail(tile, given))) for tile in tiles]

    def export(self, path: str | Path, *, vectors: bool = False) -> Path:
        """Write the items to a file, however many; the suffix decides the format: .geojson, .csv, .parquet.

        Args:
            path: The file.
            vectors: Each tile's vector too.

        Raises:
            QueryError: The suffix stands for no format.
        """
        from bandsight.export.formats import format_of

        target = Path(path)
        self._backend.export(self._body | {"limit": self._limit}, target, format_of(target), vectors=vectors)
        return target

    def register(self, title: str = "") -> SavedSearch:
        """Save the search in the archive. A server shows its hits as a STAC API, for QGIS, GDAL and pystac-client.

        Raises:
            QueryError: It is no search by meaning, or its limit is above 10,000.
        """
        return self._backend.register(self._body | {"hits": self._limit, **({"title": title} if title else {})})

    @property
    def _document(self) -> dict[str, Any]:
        if self._first is None:
            self._read()
        assert self._first is not None
        return self._first.document

    def _read(self) -> bool:
        """Read the next page; return whether it has items."""
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
    """Return an example as `__repr__` shows it."""
    for kind in ("text", "point", "id"):
        if kind in given:
            return f"tile {given[kind]}" if kind == "id" else repr(given[kind])[:_QUOTED_CHARS]
    return next(iter(given), "example")


def _joined(given: Any) -> str | None:
    return given if given is None or isinstance(given, str) else ",".join(map(str, given))
