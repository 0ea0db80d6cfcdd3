"""Every curl command of docs/api.md, sent to a server with synthetic scenes."""

import io
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight.archive import Archive
from tests.search_api.stac.conftest import app_of, served

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
PICTURES = re.compile(r"\.png|/styles|tilejson|crop")
# Jobs need a server that may write, and an atlas has to be built: tests/search_api/test_processes.py and
# tests/atlas/test_doors.py send these.
ELSEWHERE = re.compile(r"/execution|/jobs/|/atlas")
COMMANDS = [
    command
    for command in re.findall(r"^    (curl .*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    if not ELSEWHERE.search(command)
]


_png = io.BytesIO()
Image.new("RGB", (32, 32), "green").save(_png, "PNG")
PICTURE = _png.getvalue()


@pytest.fixture(scope="session")
def drawn(archive: Archive) -> Iterator[str]:
    """The root of a server whose scenes have files: radar first."""
    with served(app_of(archive)) as url:
        yield url


@pytest.mark.parametrize("command", COMMANDS)
def test_a_request_of_the_page_succeeds(root: str, drawn: str, command: str) -> None:
    root = drawn if PICTURES.search(command) else root
    _, *words = shlex.split(command)
    (url,) = [word for word in words if word.startswith("http://")]
    url = url.replace("http://127.0.0.1:8000/", root)
    options = dict(pairwise(words))
    if "-F" in options:
        fields = [word.split("=", 1) for flag, word in pairwise(words) if flag == "-F"]
        parts = [(name, ("place.png", PICTURE) if value[0] == "@" else (None, value)) for name, value in fields]
        response = httpx2.post(url, files=parts)
    elif "-d" in options:
        response = httpx2.post(url, content=options["-d"], headers={"Content-Type": "application/json"})
    elif "--data-urlencode" in options:
        name, _, value = options["--data-urlencode"].partition("=")
        response = httpx2.get(url, params={name: value})
    else:
        response = httpx2.get(url)
    assert response.is_success, response.text
    if "/search?" in url or "items?" in url or "-G" in words:
        assert response.json()["numberReturned"] > 0


def test_the_page_names_every_route_of_the_api(stac: TestClient) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert len(COMMANDS) > 12
    for path in (
        "/conformance",
        "/collections",
        "/search",
        "/queryables",
        "/searches",
        "/tiles/{tile_id}/similar",
        "/heatmap.png",
        "/heatmap.tif",
        "/classify",
        "/classify/map",
        "/healthz",
        "/readyz",
        "/metrics",
    ):
        assert path.replace("{tile_id}", "ID") in text
        assert path in stac.get("/openapi.json").json()["paths"]
