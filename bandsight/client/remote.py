"""Archives on a server: sends requests over HTTP and raises problem documents as errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from bandsight import errors
from bandsight.client.alerts import RemoteAlerts
from bandsight.client.atlas import RemoteAtlas
from bandsight.client.backend import ItemsPage, SavedSearch
from bandsight.client.remote_labels import RemoteLabels
from bandsight.errors import BandsightError, ImageError, NotFoundError, QueryError, SceneError, SettingsError

if TYPE_CHECKING:
    from bandsight.export.formats import ExportFormat

# The first byte of a large export may take minutes, but a running server accepts connections immediately.
_TIMEOUT = httpx2.Timeout(300.0, connect=10.0)
# A URL without a server should fail quickly.
_CHECK_TIMEOUT = httpx2.Timeout(20.0, connect=3.0)
# Fallback if the server does not name the error class.
_ERRORS: dict[int, type[BandsightError]] = {
    400: QueryError,
    401: SettingsError,
    404: NotFoundError,
    410: SceneError,
    413: QueryError,
    415: QueryError,
    422: ImageError,
}


class RemoteBackend:
    """Client of one server. The key is sent only there."""

    def __init__(self, url: str, key: str | None = None, transport: httpx2.BaseTransport | None = None) -> None:
        """Initialize without connecting; see `check`.

        Args:
            url: Root of the server.
            key: API key of the server, if it requires one.
            transport: HTTP transport; None for the network.
        """
        self.url = url.rstrip("/")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx2.Client(headers=headers, timeout=_TIMEOUT, transport=transport, follow_redirects=False)

    def check(self) -> None:
        """Check that there is a Bandsight server at the URL.

        Raises:
            BandsightError: There is none, or it rejects the key.
        """
        answer = self._request("GET", "/version", timeout=_CHECK_TIMEOUT)
        try:
            known = "bandsight" in answer.json()
        except ValueError:
            known = False
        if not known:
            raise BandsightError(f"{self.url}: not a Bandsight server; check the URL")

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    @property
    def labels(self) -> RemoteLabels:
        """Requests about labels; see `Backend`."""
        return RemoteLabels(self._request)

    @property
    def alerts(self) -> RemoteAlerts:
        """Requests about subscriptions and alerts; see `Backend`."""
        return RemoteAlerts(self._request)

    @property
    def atlas(self) -> RemoteAtlas:
        """Requests about the atlas; see `Backend`."""
        return RemoteAtlas(self._request)

    def search(self, body: dict[str, Any], limit: int) -> ItemsPage:
        """Return the first page; see `Backend`."""
        document = self._json("POST", "/search", json=body | {"limit": limit})
        following = next((link["body"] for link in document["links"] if link["rel"] == "next"), None)
        if following is None:
            return ItemsPage(document=document, next=None)
        return ItemsPage(document=document, next=lambda limit: self.search(following, limit))

    def item(self, tile_id: int) -> dict[str, Any]:
        """Return a tile; see `Backend`."""
        return self._json("GET", f"/tiles/{tile_id}")

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections; see `Backend`."""
        found: list[dict[str, Any]] = self._json("GET", "/collections")["collections"]
        return found

    def crop(self, tile_id: int, path: Path) -> None:
        """Write a tile as GeoTIFF; see `Backend`."""
        self._save(path, "GET", f"/tiles/{tile_id}/crop.tif")

    def thumbnail(self, tile_id: int, params: dict[str, Any]) -> bytes:
        """Return a tile as PNG; see `Backend`."""
        return self._request("GET", f"/tiles/{tile_id}/thumbnail.png", params=params).content

    def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the best labels; see `Backend`."""
        return self._json("POST", "/classify", json=body)

    def heatmap(self, body: dict[str, Any]) -> bytes:
        """Return a heat map; see `Backend`."""
        return self._request("POST", "/heatmap", json=body).content

    def export(self, body: dict[str, Any], path: Path, chosen: "ExportFormat", *, vectors: bool) -> None:
        """Write results to a file; see `Backend`."""
        params = {"format": chosen.name, "vectors": "true" if vectors else "false"}
        self._save(path, "POST", "/search/export", params=params, json=body)

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return places that changed between two periods; see `Backend`."""
        return self._json("POST", "/change", json=body)

    def change_map(self, body: dict[str, Any]) -> bytes:
        """Return a heat map of change; see `Backend`."""
        return self._request("POST", "/change/heatmap", json=body).content

    def timeline(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the dates of a place; see `Backend`."""
        return self._json("GET", "/timeline", params=body)

    def save(self, body: dict[str, Any]) -> SavedSearch:
        """Save a search; see `Backend`."""
        made = self._json("POST", "/searches", json=body)
        url = next(str(link["href"]) for link in made["links"] if link["rel"] == "child")
        return SavedSearch(id=made["id"], title=made["title"], hits=made["hits"], url=url)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._request(method, path, **options).json()
        return found

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        with self._as_ours():
            answer = self._http.request(method, f"{self.url}{path}", **options)
        if answer.is_error or answer.is_redirect:
            raise _error(answer)
        return answer

    def _save(self, path: Path, method: str, route: str, **options: Any) -> None:
        from bandsight.export.files import save

        def parts() -> Iterator[bytes]:
            with self._as_ours(), self._http.stream(method, f"{self.url}{route}", **options) as answer:
                if answer.is_error or answer.is_redirect:
                    answer.read()
                    raise _error(answer)
                yield from answer.iter_bytes()

        save(path, parts())

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise BandsightError(f"{self.url}: cannot be reached ({error}); is the server running?") from error


def _error(answer: httpx2.Response) -> BandsightError:
    try:
        problem = answer.json()
        detail, name = str(problem["detail"]), problem.get("error")
    except (ValueError, KeyError, TypeError, AttributeError):
        return BandsightError(
            f"{answer.url}: returned status {answer.status_code} without a reason; is it a Bandsight server?"
        )
    named = getattr(errors, name, None) if isinstance(name, str) else None
    if isinstance(named, type) and issubclass(named, BandsightError):
        return named(detail)
    return _ERRORS.get(answer.status_code, BandsightError)(detail)
