"""The background map of the user's own: an XYZ or WMS URL becomes tile URLs that the page may load."""

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
    """A background map, as the page takes it."""

    tiles: str
    """Tile URL, with `{z}`, `{x}` and `{y}` or `{bbox-epsg-3857}`."""
    attribution: str
    """Who made it, as the map shows it."""

    @property
    def origin(self) -> str | None:
        """The other server that the page loads from, as a Content-Security-Policy names it; None for this one."""
        parts = urlsplit(self.tiles)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None

    def as_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({"tiles": self.tiles, "attribution": self.attribution})


def basemap_of(url: str | None, attribution: str) -> Basemap | None:
    """Return the background map of the settings; None without one.

    Args:
        url: XYZ with `{z}`, `{x}`, `{y}`; any URL with `{bbox-epsg-3857}`; or a WMS address with `layers=`.
        attribution: Who made it.

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
    # MapLibre replaces the braces, which must stay as they are.
    query = urlencode([*given, *more], quote_via=quote)
    return urlunsplit(parts._replace(query=f"{query}&bbox={_BBOX}"))


def _refusal(url: str) -> SettingsError:
    return SettingsError(
        f"BANDSIGHT_BASEMAP_URL: found {url[:200]!r}; need an XYZ address such as "
        "https://tiles.example.org/{z}/{x}/{y}.png, or a WMS address with its layers such as "
        "https://maps.example.org/wms?layers=topo"
    )
