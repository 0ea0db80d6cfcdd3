"""Links of a STAC API for the whole archive or a saved search."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from bandsight.catalog.saved_searches import SavedSearch

JSON = "application/json"
GEOJSON = "application/geo+json"
GEOTIFF = "image/tiff; application=geotiff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One STAC API."""

    server: str
    """Absolute URL of the server, without a trailing slash."""
    search: SavedSearch | None = None
    """The saved search whose hits are this API's items; None for the whole archive."""

    @property
    def url(self) -> str:
        """URL of this API's landing page."""
        return self.server + ("/" if self.search is None else f"/searches/{self.search.id}/")

    @property
    def whole(self) -> "Root":
        """The API of the whole archive. Scenes are always items of it, never of a saved search."""
        return self if self.search is None else _whole(self.server)

    def at(self, *parts: str, **query: str | int) -> str:
        """Return the URL of a page of this API."""
        path = self.url + "/".join(quote(part, safe="") for part in parts)
        return f"{path}?{urlencode(query)}" if query else path

    def shared(self, path: str) -> str:
        """Return the URL of a page that all APIs of this server share."""
        return self.server + path

    def item(self, collection: str, item: str) -> str:
        """Return the URL of an item."""
        return f"{self.collection(collection)}/items/{quote(item, safe='')}"

    def collection(self, name: str) -> str:
        """Return the URL of a collection."""
        return _collection(self.url, name)


# Cached, because a page of items has thousands of links to few collections.
@lru_cache(maxsize=1024)
def _collection(url: str, name: str) -> str:
    return f"{url}collections/{quote(name, safe='')}"


@lru_cache(maxsize=16)
def _whole(server: str) -> Root:
    return Root(server=server)


def link(rel: str, href: str, kind: str = JSON, **more: Any) -> dict[str, Any]:
    """Return a link object."""
    return {"rel": rel, "href": href, "type": kind, **more}
