"""Where a STAC API hangs: the server's own root, or a registered search; makes the links of either."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from search_api.stac.registered import Registered

JSON = "application/json"
GEOJSON = "application/geo+json"
GEOTIFF = "image/tiff; application=geotiff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One STAC API."""

    server: str
    """The server's own root, absolute, without a slash at its end."""
    search: Registered | None = None
    """The registered search whose hits are this API's items; None for the whole archive."""

    @property
    def url(self) -> str:
        """This API's landing page."""
        return self.server + ("/" if self.search is None else f"/searches/{self.search.id}/")

    def at(self, *parts: str, **query: str | int) -> str:
        """Return the URL of a page of this API."""
        path = self.url + "/".join(map(_quoted, parts))
        return f"{path}?{urlencode(query)}" if query else path

    def shared(self, path: str) -> str:
        """Return the URL of a page that all APIs of this server share."""
        return self.server + path

    def item(self, collection: str, item: str) -> str:
        """Return the URL of an item."""
        return self.at("collections", collection, "items", item)


def _quoted(part: str) -> str:
    # Most parts are words and numbers, and a page of items has thousands.
    return part if part.isascii() and part.isalnum() else quote(part, safe="")


def link(rel: str, href: str, kind: str = JSON, **more: Any) -> dict[str, Any]:
    """Return a link object."""
    return {"rel": rel, "href": href, "type": kind, **more}
