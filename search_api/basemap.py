"""Custom background maps: converts an XYZ or WMS URL to tile URLs for the web page."""

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from bandsight.errors import SettingsError

_BBOX = "{bbox-epsg-3857}"
_NEEDED = ("{z}", "{x}", "{y}")
_HOST = re.compile(r"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")
_WMS = {
    "service": "WMS",
    "request": "GetMap",
    "version": "1.1.1",
    "srs": "EPSG:3857",
    "styles": "",
    "format": "image/png",
    "transparent": "true",
    "width": "256",
    "height": "256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Basemap:
    """A background map for the web page."""

    tiles: str
    """Tile URL, with `{z}`, `{x}` and `{y}` or `{bbox-epsg-3857}`."""
    attribution: str
    """Attribution shown on the map."""

    @property
    def origin(self) -> str | None:
        """Origin of the tiles for the Content-Security-Policy; None for this server."""
        parts = urlsplit(self.tiles)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None

    def as_json(self) -> str:
        """Return the background map as JSON."""
        return json.dumps({"tiles": self.tiles, "attribution": self.attribution})


def basemap_of(url: str | None, attribution: str) -> Basemap | None:
    """Return the background map from the settings, or None.

    Args:
        url: XYZ URL with `{z}`, `{x}`, `{y}`; any URL with `{bbox-epsg-3857}`; or a WMS URL with `layers=`.
        attribution: Attribution of the map.

    Raises:
        SettingsError: The URL is none of these.
    """
    if url is None:
        return None
    parts = urlsplit(url)
    names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    reachable = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc)
    own = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    if not (reachable or own):
        raise _refusal(url)
    if all(part in url for part in _NEEDED) or _BBOX in url:
        return Basemap(tiles=url, attribution=attribution)
    if "layers" not in names:
        raise _refusal(url)
    return Basemap(tiles=_get_map(url), attribution=attribution)


def _get_map(url: str) -> str:
    """Return the GetMap request of a WMS for a map tile."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower(): value for name, value in given}
    rest = {**_WMS, "version": names.get("version", _WMS["version"])}
    if rest["version"].startswith("1.3"):
        rest["crs"] = rest.pop("srs")
    more = [(name, value) for name, value in rest.items() if name not in names]
    # MapLibre replaces the braces, so they must not be quoted.
    query = urlencode([*given, *more], quote_via=quote)
    return urlunsplit(parts._replace(query=f"{query}&bbox={_BBOX}"))


def _refusal(url: str) -> SettingsError:
    return SettingsError(
        f"BANDSIGHT_BASEMAP_URL: found {url[:200]!r}; need an XYZ URL such as "
        "https://tiles.example.org/{z}/{x}/{y}.png, or a WMS URL with layers such as "
        "https://maps.example.org/wms?layers=topo"
    )
