"""Cost and required scope of each route, in one table.

Routes missing from the table count as light work, and need the scope `admin` unless they only read. A test compares the
table with the OpenAPI document.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_MB = 2**20
_CPUS = os.cpu_count() or 1
# Number of paths with cached policies. Clients choose paths freely.
_REMEMBERED = 4096


class Scope(StrEnum):
    """Scopes of API keys."""

    READ = "read"
    """Read, and search by sentences, tiles and places."""
    PICTURES = "pictures"
    """Search with images, which the server decodes."""
    WRITE = "write"
    """Change saved searches, labels, classifiers and subscriptions."""
    ADMIN = "admin"
    """Everything, including routes that are not listed."""


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work: its concurrency limit, and the memory and cost of a request."""

    name: str
    slots: int
    """Maximum number of concurrent requests."""
    memory_bytes: int
    """Maximum memory of a request."""
    cost: int
    """Cost of a request towards the client's rate limit."""
    waits: bool = True
    """Whether its requests queue for a slot."""
    holds: bool = False
    """Whether a request keeps its slot until the last byte is sent, because it computes while streaming."""

    @property
    def is_long(self) -> bool:
        """Whether requests take long enough to watch for disconnects."""
        return self.cost > 1


PROBE = Work("probe", 0, 0, 0, waits=False)
FILES = Work("files", 0, 0, 0, waits=False)
LIGHT = Work("light", 16, 8 * _MB, 1)
SEARCH = Work("search", max(2, _CPUS), 64 * _MB, 2)
TILE = Work("tile", _CPUS + 2, 48 * _MB, 1)
PICTURE = Work("picture", 2, 256 * _MB, 5)
"""Searches with images, which must be decoded; they never block other searches."""
PAINT = Work("paint", max(2, _CPUS // 2), 256 * _MB, 10)
EXPORT = Work("export", max(2, _CPUS // 2), 128 * _MB, 10, holds=True)
WORKS = (LIGHT, SEARCH, TILE, PICTURE, PAINT, EXPORT)
"""Kinds of work that are queued."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Cost and required scope of a route."""

    route: str
    """Path of the route in the OpenAPI document; empty if there is none."""
    work: Work
    """Kind of work."""
    scope: Scope | None
    """Scope that a key needs; None for routes that need no key."""


_READ, _WRITE = Scope.READ, Scope.WRITE
_STAC: tuple[tuple[str, str, Work, Scope], ...] = (
    ("GET", "/conformance", LIGHT, _READ),
    ("GET", "/collections", LIGHT, _READ),
    ("GET", "/collections/{collection_id}", LIGHT, _READ),
    ("GET", "/collections/{collection_id}/items", LIGHT, _READ),
    ("GET", "/collections/{collection_id}/items/{item_id}", LIGHT, _READ),
    ("GET", "/search", SEARCH, _READ),
    ("POST", "/search", SEARCH, _READ),
    ("GET", "/queryables", LIGHT, _READ),
    ("GET", "/collections/{collection_id}/queryables", LIGHT, _READ),
)
_ONE_SEARCH = "/searches/{search_id}"
_DRAWN = ("/scenes/{scene_id}", "/collections/{collection_id}")
_TABLE: tuple[tuple[str, str, Work, Scope | None], ...] = (
    ("GET", "/healthz", PROBE, None),
    ("GET", "/readyz", PROBE, None),
    ("GET", "/startupz", PROBE, None),
    ("GET", "/session", FILES, None),
    ("POST", "/session", FILES, None),
    ("DELETE", "/session", FILES, None),
    ("GET", "/", LIGHT, _READ),
    ("GET", "/docs", FILES, _READ),
    ("GET", "/openapi.json", LIGHT, _READ),
    ("GET", "/version", LIGHT, _READ),
    ("GET", "/metrics", LIGHT, _READ),
    ("GET", "/overview", LIGHT, _READ),
    ("GET", "/jobs", LIGHT, _READ),
    ("GET", "/jobs/{job_id}", LIGHT, _READ),
    ("GET", "/jobs/{job_id}/results", LIGHT, _READ),
    ("GET", "/jobs/{job_id}/files/{name}", LIGHT, _READ),
    ("DELETE", "/jobs/{job_id}", LIGHT, Scope.ADMIN),
    ("GET", "/processes", LIGHT, _READ),
    ("GET", "/processes/{process_id}", LIGHT, _READ),
    ("POST", "/processes/{process_id}/execution", LIGHT, Scope.ADMIN),
    *_STAC,
    ("GET", "/tiles/{tile_id}", LIGHT, _READ),
    ("GET", "/tiles/{tile_id}/similar", SEARCH, _READ),
    ("GET", "/tiles/{tile_id}/styles", LIGHT, _READ),
    ("GET", "/tiles/{tile_id}/thumbnail.png", TILE, _READ),
    ("GET", "/tiles/{tile_id}/crop.tif", PAINT, _READ),
    ("GET", "/tiles/{tile_id}/explain.png", PAINT, _READ),
    *(("GET", f"{one}/{name}", LIGHT, _READ) for one in _DRAWN for name in ("styles", "tilejson.json")),
    *(("GET", f"{one}/tiles/{{z}}/{{x}}/{{y}}.png", TILE, _READ) for one in (*_DRAWN, "/imagery")),
    ("GET", "/imagery/tilejson.json", LIGHT, _READ),
    ("GET", "/searches", LIGHT, _READ),
    ("POST", "/searches", SEARCH, _WRITE),
    ("GET", _ONE_SEARCH, LIGHT, _READ),
    ("DELETE", _ONE_SEARCH, LIGHT, _WRITE),
    ("GET", f"{_ONE_SEARCH}/", LIGHT, _READ),
    *((method, f"{_ONE_SEARCH}{path}", work, scope) for method, path, work, scope in _STAC),
    ("GET", f"{_ONE_SEARCH}/export", EXPORT, _READ),
    ("GET", f"{_ONE_SEARCH}/heatmap/{{z}}/{{x}}/{{y}}.png", TILE, _READ),
    *(
        ("GET", f"{_ONE_SEARCH}/heatmap/{name}", SEARCH, _READ)
        for name in ("tilejson.json", "legend.json", "legend.png")
    ),
    *(("GET", f"{_ONE_SEARCH}/heatmap.{kind}", PAINT, _READ) for kind in ("png", "tif")),
    ("GET", "/heatmap.png", PAINT, _READ),
    ("GET", "/heatmap.tif", PAINT, _READ),
    ("POST", "/heatmap", PAINT, _READ),
    ("POST", "/classify", SEARCH, _READ),
    ("POST", "/classify/map", PAINT, _READ),
    ("GET", "/export-formats", LIGHT, _READ),
    ("POST", "/search/export", EXPORT, _READ),
    ("POST", "/change", SEARCH, _READ),
    ("POST", "/change/heatmap", PAINT, _READ),
    ("GET", "/change/heatmap/{z}/{x}/{y}.png", TILE, _READ),
    ("GET", "/timeline", SEARCH, _READ),
    ("GET", "/atlas", SEARCH, _READ),
    ("GET", "/atlas/points", SEARCH, _READ),
    ("POST", "/atlas/values", SEARCH, _READ),
    ("GET", "/atlas/review", EXPORT, _READ),
    ("GET", "/atlas/export", EXPORT, _READ),
    ("GET", "/labels", LIGHT, _READ),
    ("POST", "/labels", LIGHT, _WRITE),
    ("POST", "/labels/area", LIGHT, _READ),
    ("GET", "/labels/{name}", LIGHT, _READ),
    ("DELETE", "/labels/{name}", LIGHT, _WRITE),
    ("POST", "/labels/{name}/classes", LIGHT, _WRITE),
    ("GET", "/labels/{name}/items", LIGHT, _READ),
    ("POST", "/labels/{name}/items", LIGHT, _WRITE),
    ("DELETE", "/labels/{name}/items/{tile_id}", LIGHT, _WRITE),
    ("POST", "/labels/{name}/import", SEARCH, _WRITE),
    ("POST", "/labels/{name}/reattach", SEARCH, _WRITE),
    ("POST", "/labels/{name}/classifiers", SEARCH, _WRITE),
    ("GET", "/labels/{name}/classifiers", LIGHT, _READ),
    ("GET", "/labels/{name}/proposals", SEARCH, _READ),
    ("GET", "/labels/{name}/layer", SEARCH, _READ),
    ("GET", "/labels/{name}/layer/tiles", EXPORT, _READ),
    ("GET", "/labels/{name}/layer/polygons", EXPORT, _READ),
    ("GET", "/labels/{name}/layer/changes", SEARCH, _READ),
    ("GET", "/labels/{name}/area/sample", SEARCH, _READ),
    ("GET", "/subscriptions", LIGHT, _READ),
    ("POST", "/subscriptions", SEARCH, _WRITE),
    ("GET", "/subscriptions/{subscription_id}", LIGHT, _READ),
    ("DELETE", "/subscriptions/{subscription_id}", LIGHT, _WRITE),
    *(("POST", f"/subscriptions/{{subscription_id}}/{name}", LIGHT, _WRITE) for name in ("pause", "resume", "test")),
    ("GET", "/alerts", LIGHT, _READ),
    ("GET", "/alerts/feed.json", LIGHT, _READ),
    ("GET", "/alerts/atom.xml", LIGHT, _READ),
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_STATIC = Policy("/static", FILES, None)
_STATIC_PATH = "/static/"
_PARAMETER = re.compile(r"\{\w+\}")


def _compiled(route: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(route)
    return re.compile("[^/]+".join(map(re.escape, parts)))


_EXACT = {(method, route): Policy(route, work, scope) for method, route, work, scope in _TABLE if "{" not in route}
_PATTERNS: dict[str, list[tuple[re.Pattern[str], Policy]]] = {}
for _method, _route, _work, _scope in _TABLE:
    if "{" in _route:
        _PATTERNS.setdefault(_method, []).append((_compiled(_route), Policy(_route, _work, _scope)))


@lru_cache(_REMEMBERED)
def policy_of(method: str, path: str) -> Policy:
    """Return the policy of a request.

    Args:
        method: HTTP method.
        path: Path of the request.
    """
    method = "GET" if method == "HEAD" else method
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact
    if method == "GET" and path.startswith(_STATIC_PATH):
        return _STATIC
    for pattern, policy in _PATTERNS.get(method, ()):
        if pattern.fullmatch(path):
            return policy
    return Policy("", LIGHT, Scope.READ if method in _SAFE else Scope.ADMIN)


def listed() -> Iterator[tuple[str, str]]:
    """Yield method and path of each route in the table."""
    for method, route, _, _ in _TABLE:
        yield method, route
