"""A background map of the user's own: XYZ or WMS, within the content policy of the page."""

import html
import json
import re

import pytest
from fastapi.testclient import TestClient

from bandsight.errors import SettingsError
from search_api.app import create_app
from search_api.basemap import basemap_of
from search_api.settings import ApiSettings

KEY = "correct horse battery"
XYZ = 'https://tiles.example.org/osm/{z}/{x}/{y}.png?token=a"b'


def page_of(**settings: object) -> tuple[str, str]:
    """Return the page and its content policy."""
    client = TestClient(create_app(ApiSettings(archive="/nowhere", **settings)), base_url="http://localhost")  # type: ignore[arg-type]
    response = client.get("/", headers={"Accept": "text/html"})
    return response.text, response.headers["content-security-policy"]


def test_the_page_gets_the_map_and_may_load_it():
    text, policy = page_of(key=KEY, basemap_url=XYZ, basemap_attribution="© <b>Somebody</b>")
    found = re.search(r'data-basemap="([^"]*)"', text)
    assert found
    assert json.loads(html.unescape(found[1])) == {"tiles": XYZ, "attribution": "© <b>Somebody</b>"}
    assert "connect-src 'self' https://tiles.example.org;" in policy
    assert "img-src 'self' data: blob: https://tiles.example.org;" in policy
    assert "script-src 'self';" in policy


def test_without_the_setting_the_page_loads_from_its_own_server_only():
    text, policy = page_of(key=KEY)
    assert "data-basemap" not in text
    assert "http" not in policy


def test_a_wms_address_becomes_requests_for_maps():
    made = basemap_of("http://maps.example.org:8080/wms?map=a%20b&LAYERS=topo,names", "")
    assert made is not None
    assert made.origin == "http://maps.example.org:8080"
    assert made.tiles.endswith("&bbox={bbox-epsg-3857}")
    for part in ("map=a%20b", "LAYERS=topo%2Cnames", "request=GetMap", "srs=EPSG%3A3857", "width=256"):
        assert part in made.tiles
    newer = basemap_of("https://maps.example.org/wms?layers=a&version=1.3.0&format=image/jpeg", "")
    assert newer is not None
    assert "crs=EPSG%3A3857" in newer.tiles
    assert "srs" not in newer.tiles
    assert newer.tiles.count("format") == 1


def test_a_map_of_the_same_server_needs_no_permission():
    made = basemap_of("/tiles/{z}/{x}/{y}.png", "")
    assert made is not None
    assert made.origin is None


@pytest.mark.parametrize(
    "url",
    [
        "https://tiles.example.org/",
        "https://maps.example.org/wms?service=WMS",
        "ftp://tiles.example.org/{z}/{x}/{y}.png",
        "javascript:alert(1)//{z}{x}{y}",
        "https://a; script-src *//{z}/{x}/{y}",
        "//tiles.example.org/{z}/{x}/{y}.png",
    ],
)
def test_any_other_address_is_refused_with_examples(url):
    with pytest.raises(SettingsError, match=r"BANDSIGHT_BASEMAP_URL: found .* need an XYZ URL such as https://"):
        basemap_of(url, "")
