"""What a search found: Items, read a page at a time; as a table, as pictures, as a file."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandsight.client.transfer import Transfer
from bandsight.errors import QueryError, needs_extra

if TYPE_CHECKING:
    import geopandas
    import pystac
    from PIL.Image import Image

_PAGE = 250
_UPWARDS = frozenset({"root", "parent", "collection"})


class Results:
    """The answer of a search, up to its limit; nothing is read before it is needed, and each page once."""

    def __init__(self, transfer: Transfer, body: dict[str, Any], limit: int) -> None:
        """Prepare.

        Args:
            transfer: Who is asked.
            body: Of POST /search, without limit and token.
            limit: Most items.

        Raises:
            QueryError: The limit is below 1.
        """
        if limit < 1:
            raise QueryError(f"limit: found {limit}; need at least 1")
        self._transfer, self._body, self._limit = transfer, body, limit
        self._features: list[dict[str, Any]] = []
        self._first: dict[str, Any] | None = None
        self._token: str | None = None

    def __iter__(self) -> "Iterator[pystac.Item]":
        """Yield Items, in the order of the search; without links upwards, which pystac would follow on its own."""
        import pystac

        for feature in self.features():
            links = [link for link in feature["links"] if link["rel"] not in _UPWARDS]
            yield pystac.Item.from_dict({**feature, "links": links}, preserve_dict=True)

    def __len__(self) -> int:
        """Return how many items there are, at most the limit; reads them all."""
        return sum(1 for _ in self.features())

    def __repr__(self) -> str:
        """Say what was asked."""
        asked = ", ".join(name for name in self._body)
        return f"<bandsight Results of {asked or 'everything'}: {len(self._features)} read, at most {self._limit}>"

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
        """How many items there are whatever the limit, None where the server does not count them."""
        found: int | None = self._page().get("numberMatched")
        return found

    @property
    def nothing_matches(self) -> bool:
        """Whether the server says that no hit is likely to be right."""
        return bool(self._page().get("nothing_matches"))

    @property
    def generation(self) -> int:
        """The archive's commit that was asked."""
        return int(self._page()["generation"])

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return a row for each item: its id, its collection, its properties, its footprint (EPSG:4326).

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

    def thumbnails(self, size: int = 128, **look: Any) -> "list[Image]":
        """Return a picture of each tile among the items.

        Args:
            size: Pixels along each side.
            look: `style`, `bands`, `rescale`, `colormap`, `stretch`, as the API has them.

        Raises:
            SceneError: A scene's file is gone.
        """
        from PIL import Image

        hrefs = [one["assets"]["thumbnail"]["href"] for one in self.features() if "thumbnail" in one["assets"]]
        params = {"size": size, **look}
        return [Image.open(io.BytesIO(self._transfer.data("GET", href, params=params))) for href in hrefs]

    def export(self, path: str | Path, *, vectors: bool = False) -> Path:
        """Write the items to a file as they arrive, however many: .geojson, .csv or .parquet.

        Args:
            path: The file; its suffix decides the format.
            vectors: Each tile's vector too.

        Raises:
            QueryError: The suffix stands for no format.
        """
        from bandsight.export.formats import format_of

        target = Path(path)
        params = {"format": format_of(target).name, "vectors": "true" if vectors else "false"}
        body = self._body | {"limit": self._limit}
        self._transfer.save(target, "POST", "/search/export", params=params, json=body)
        return target

    def register(self, title: str = "") -> str:
        """Keep the search on the server and return its URL: a STAC API of its hits, for QGIS, GDAL and pystac-client.

        Raises:
            QueryError: It is no search by meaning, or more than 10,000 hits are wanted.
        """
        body = {**self._body, "hits": self._limit, **({"title": title} if title else {})}
        made = self._transfer.json("POST", "/searches", json=body)
        return next(str(link["href"]) for link in made["links"] if link["rel"] == "child")

    def _page(self) -> dict[str, Any]:
        if self._first is None:
            self._read()
        assert self._first is not None
        return self._first

    def _read(self) -> bool:
        """Read the next page; say whether there was one with items."""
        if self._first is not None and self._token is None:
            return False
        token = {} if self._token is None else {"token": self._token}
        limit = min(_PAGE, self._limit - len(self._features))
        page = self._transfer.json("POST", "/search", json=self._body | {"limit": limit} | token)
        following = next((link for link in page["links"] if link["rel"] == "next"), None)
        self._token = None if following is None else following["body"]["token"]
        self._first = self._first or page
        self._features += page["features"]
        return bool(page["features"])
