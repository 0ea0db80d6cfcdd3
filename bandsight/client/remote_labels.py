"""Labels on a server."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

Send = Callable[..., Any]
"""Sends a request: method, path, and options of httpx; returns the response."""


class RemoteLabels:
    """Sends requests about labels to a server; see `LabelBackend`."""

    def __init__(self, send: Send) -> None:
        """Initialize.

        Args:
            send: Sends a request and raises the server's errors.
        """
        self._send = send

    def collections(self) -> dict[str, Any]:
        """Return the collections."""
        return self._json("GET", "/labels")

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a collection."""
        return self._json("POST", "/labels", json=body)

    def add_classes(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add classes, or change their sentences."""
        return self._json("POST", _path(name, "classes"), json=body)

    def get(self, name: str) -> dict[str, Any]:
        """Return a collection."""
        return self._json("GET", _path(name))

    def delete(self, name: str) -> None:
        """Delete a collection."""
        self._send("DELETE", _path(name))

    def add(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label tiles."""
        return self._json("POST", _path(name, "items"), json=body)

    def remove(self, name: str, tile: int, annotator: str | None = None) -> dict[str, Any]:
        """Delete the labels of a tile."""
        params = {} if annotator is None else {"annotator": annotator}
        return self._json("DELETE", _path(name, "items", str(tile)), params=params)

    def features(self, name: str) -> dict[str, Any]:
        """Return the labels as GeoJSON."""
        return self._json("GET", _path(name, "items"))

    def load(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label the tiles at features."""
        return self._json("POST", _path(name, "import"), json=body)

    def reattach(self, name: str) -> dict[str, Any]:
        """Move labels to the tiles now at their locations."""
        return self._json("POST", _path(name, "reattach"))

    def train(self, name: str) -> dict[str, Any]:
        """Train the classifier."""
        return self._json("POST", _path(name, "classifiers"))

    def classifiers(self, name: str) -> dict[str, Any]:
        """Return all versions of the classifier."""
        return self._json("GET", _path(name, "classifiers"))

    def layer(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of a layer."""
        return self._json("GET", _path(name, "layer"), params=query)

    def layer_features(self, name: str, query: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return tiles or polygons of a layer."""
        return self._json("GET", _path(name, "layer", kind), params=query)

    def compare(self, name: str, query: dict[str, Any], before: int) -> dict[str, Any]:
        """Return the differences from an earlier version."""
        return self._json("GET", _path(name, "layer", "changes"), params={**query, "before": before})

    def area_sample(self, name: str, query: dict[str, Any], tiles: int, seed: int = 0) -> dict[str, Any]:
        """Return a stratified random sample."""
        return self._json("GET", _path(name, "area", "sample"), params={**query, "tiles": tiles, "seed": seed})

    def area_report(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the area of a class."""
        return self._json("POST", "/labels/area", json=body)

    def proposals(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the tiles to label next."""
        return self._json("GET", _path(name, "proposals"), params=body)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, path, **options).json()
        return found


def _path(*parts: str) -> str:
    return "/".join(("/labels", *(quote(part, safe="") for part in parts)))
