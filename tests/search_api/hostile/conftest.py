"""Every operation of the OpenAPI document as a request that works, and an archive that tests may break."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.archive.makers import filled
from tests.fakes import FakeEmbedder

PATH_VALUES = {
    "tile_id": "1",
    "scene_id": "scene-1",
    "collection_id": "red",
    "item_id": "1",
    "job_id": "1",
    "name": "ponds",
    "subscription_id": "0123456789abcdef",
    "z": "3",
    "x": "1",
    "y": "2",
}
QUERY_VALUES = {"q": "a lake", "lon": "13", "lat": "52", "before": "1", "after": "2"}
BODIES: dict[str, Any] = {
    "/search": {"q": "a lake", "limit": 2},
    "/search/export": {"q": "a lake", "limit": 2},
    "/heatmap": {"q": "a lake", "width": 16, "area": [-60, -60, 60, 60]},
    "/classify/map": {"labels": ["water", "forest"], "bbox": [-60, -60, 60, 60]},
    "/labels/area": {"sample": {"type": "FeatureCollection", "features": []}},
    "/session": {"key": "x" * 20},
}


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    route: str
    document: dict[str, Any]
    spec: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def statuses(self) -> set[str]:
        return set(self.document["responses"])

    def url(self, values: dict[str, str]) -> str:
        path = self.route
        for name, value in {**PATH_VALUES, **values}.items():
            path = path.replace(f"{{{name}}}", value)
        given = [one for one in self.document.get("parameters", ()) if one["in"] == "query" and one.get("required")]
        query = "&".join(f"{one['name']}={QUERY_VALUES[one['name']]}" for one in given)
        if self.route.endswith("explain.png"):
            query = "q=a lake"
        return f"{path}?{query}" if query else path

    def body(self) -> Any:
        """Return an example of its body; None without one."""
        content = self.document.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return None
        known = next((BODIES[route] for route in BODIES if self.route.endswith(route)), None)
        if known is not None:
            return known
        schema = content["schema"]
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema.get("examples", [{}])[0]

    def send(self, client: TestClient, search: str = "0123456789abcdef", **options: Any) -> Any:
        return client.request(self.method, self.url({"search_id": search}), json=self.body(), **options)


def operations_of(client: TestClient) -> list[Operation]:
    spec = client.app.openapi()
    return [
        Operation(method.upper(), route, document, spec)
        for route, methods in spec["paths"].items()
        for method, document in methods.items()
    ]


@pytest.fixture
def own_archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive for one test, which may break it."""
    with filled(tmp_path / "own" / "archive", 3, 4) as archive:
        yield archive


@pytest.fixture
def hostile(own_archive: Archive, tmp_path: Path) -> Callable[..., TestClient]:
    """Returns a client of a server of that archive with these settings."""

    def make(**settings: Any) -> TestClient:
        chosen = ApiSettings(archive=own_archive.path, **{"keys_file": tmp_path / "keys.json"} | settings)
        service = Service(chosen, own_archive, FakeEmbedder())
        return TestClient(create_app(chosen, service), raise_server_exceptions=False)

    return make
