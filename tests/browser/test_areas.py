"""Areas and distances: names of places, coordinates, uploaded and edited areas, measuring, ±180°."""

import json
import math
import re
from pathlib import Path

import pytest

from tests.browser.conftest import search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


def _wait_for_map_at(page, lat: float, lon: float, within: float) -> None:
    """Wait until the middle of the map is there, and the map shows a town rather than a country."""
    page.wait_for_function(
        """([lat, lon, within]) => {
          const map = new URLSearchParams(location.hash.slice(1)).get("map");
          const [zoom, y, x] = (map ?? "0/0/0").split("/").map(Number);
          return zoom > 8 && Math.abs(y - lat) < within && Math.abs(x - lon) < within;
        }""",
        arg=[lat, lon, within],
    )


def test_the_map_moves_to_a_place_by_its_name(open_page, shot) -> None:
    page = open_page()
    page.locator("#q").click()
    page.keyboard.type("branden")
    option = page.get_by_role("option", name="Brandenburg an der Havel")
    option.wait_for()
    assert "Germany" in option.inner_text()
    shot(page, "39-town")
    option.click()
    page.get_by_text("Moved to Brandenburg").wait_for()
    _wait_for_map_at(page, 52.41, 12.56, within=0.1)


@pytest.mark.parametrize(
    ("typed", "lat", "lon"),
    [("52.4, 12.55", 52.4, 12.55), ("33.86 S 151.2 E", -33.86, 151.2), ("47°2'24\" N, 99°9'0\" W", 47.04, -99.15)],
)
def test_the_map_moves_to_coordinates(open_page, typed: str, lat: float, lon: float) -> None:
    page = open_page(settle=False)
    page.wait_for_selector(".map-frame[data-ready]")
    page.fill("#q", typed)
    page.keyboard.press("Enter")
    page.get_by_text("Moved to").wait_for()
    _wait_for_map_at(page, lat, lon, within=0.01)


def _coastline(corners: int) -> str:
    """Return the coordinates of a KML outline of a bay around the scenes: a circle with small waves."""
    angles = [2 * math.pi * at / corners for at in range(corners)]
    points = [(12.8 + 0.6 * math.cos(a) * (1 + 0.01 * math.sin(90 * a)), 52.5 + 0.4 * math.sin(a)) for a in angles]
    return " ".join(f"{lon:.7f},{lat:.7f},0" for lon, lat in [*points, points[0]])


def test_a_kml_of_fifty_thousand_corners_is_an_area_that_survives_a_reload(open_page, tmp_path: Path, shot) -> None:
    path = tmp_path / "bay.kml"
    ring = (
        f"<outerBoundaryIs><LinearRing><coordinates>{_coastline(50_000)}</coordinates></LinearRing></outerBoundaryIs>"
    )
    path.write_text(
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><Polygon>'
        f"{ring}</Polygon></Placemark></Document></kml>"
    )
    page = open_page("#q=a+lake")
    wait_for_results(page)
    page.get_by_role("button", name="Filters", exact=True).click()
    with page.expect_request(
        lambda request: request.url.endswith("/search") and "intersects" in request.post_data
    ) as sent:
        page.locator("input[accept*='.kml']").set_input_files(path)
    assert 300 < len(sent.value.post_data_json["intersects"]["coordinates"][0]) <= 5001
    page.get_by_text("Its 50,001 corners were simplified to").wait_for()
    page.wait_for_selector(".chip >> text=Area")
    wait_for_results(page)
    wait_for_map(page)
    shot(page, "40-kml")
    page.reload()
    page.wait_for_selector(".chip >> text=Area")
    wait_for_results(page)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("points.geojson", '{"type": "Point", "coordinates": [1, 2]}', "has no polygon"),
        ("broken.geojson", '{"type": "Polygon", ', "is not a valid GeoJSON or KML file"),
        ("broken.kml", "<kml><Polygon>", "is not a valid GeoJSON or KML file"),
        ("area.kmz", "PK", "Unzip it"),
        (
            "metres.geojson",
            '{"type": "Polygon", "coordinates": [[[4e5, 58e5], [41e4, 58e5], [4e5, 59e5], [4e5, 58e5]]]}',
            "is not in degrees",
        ),
        (
            "bow.geojson",
            '{"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}',
            "crosses itself",
        ),
    ],
)
def test_a_file_that_is_no_area_says_why(open_page, tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    page = open_page(settle=False)
    page.get_by_role("button", name="Filters", exact=True).click()
    page.locator("input[accept*='.kml']").set_input_files(path)
    page.locator(".toast.bad").get_by_text(message).wait_for()
    assert page.locator(".chip").count() == 0


def test_a_file_of_200_mb_is_refused_before_it_is_read(open_page) -> None:
    page = open_page(settle=False)
    page.wait_for_selector(".app")
    for name, message in (("huge.tif", "The limit is 20 MB"), ("huge.geojson", "The limit for areas is 60 MB")):
        page.evaluate(
            """name => {
              const file = new File(["x"], name);
              Object.defineProperty(file, "size", { value: 200 * 2 ** 20 });
              file.arrayBuffer = file.text = () => { throw new Error("it was read"); };
              const event = new DragEvent("drop", { cancelable: true });
              Object.defineProperty(event, "dataTransfer", { value: { types: ["Files"], files: [file] } });
              window.dispatchEvent(event);
            }""",
            name,
        )
        page.locator(".toast.bad").get_by_text(message).wait_for()


def _draw(page, corners: list[tuple[int, int]]) -> None:
    page.get_by_role("button", name="Draw a polygon to search in").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    for dx, dy in corners:
        page.mouse.click(frame["x"] + dx, frame["y"] + dy)


def test_a_drawn_outline_that_crosses_itself_is_not_lost(open_page) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    _draw(page, [(120, 120), (500, 500), (500, 120), (120, 500)])
    page.keyboard.press("Enter")
    page.get_by_text("The outline crosses itself").wait_for()
    assert page.locator(".draw-hint").count() == 1, "what was drawn is lost"
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip >> text=Area")


def test_corners_of_a_drawn_area_are_moved_added_and_removed(open_page, shot) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    _draw(page, [(150, 150), (550, 150), (350, 500)])
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip >> text=Area")
    page.get_by_role("button", name="Edit the search area").click()
    corners = page.get_by_role("button", name=re.compile(r"^Corner \d"))
    corners.nth(2).wait_for()
    assert corners.count() == 3
    shot(page, "41-edit")
    page.get_by_role("button", name="Add a corner after corner 1").click()
    page.get_by_role("button", name="Corner 4", exact=True).wait_for()
    with page.expect_request(lambda request: request.url.endswith("/search")) as sent:
        page.get_by_role("button", name="Corner 2", exact=True).press("ArrowUp")
    assert len(sent.value.post_data_json["intersects"]["coordinates"][0]) == 5
    page.get_by_role("button", name="Corner 2", exact=True).press("Delete")
    page.get_by_role("button", name="Corner 4", exact=True).wait_for(state="detached")
    page.get_by_role("button", name="Done").click()
    assert corners.count() == 0
    page.wait_for_selector(".chip >> text=Area")


def test_an_area_across_180_degrees_is_one_area(open_page) -> None:
    page = open_page("#map=5.00/0/180")
    wait_for_map(page)
    _draw(page, [(200, 200), (500, 200), (350, 500)])
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip >> text=Area")
    page.fill("#q", "a lake")
    with page.expect_request(lambda request: "intersects" in (request.post_data or "")) as sent:
        page.keyboard.press("Enter")
    longitudes = [lon for lon, _ in sent.value.post_data_json["intersects"]["coordinates"][0]]
    assert min(longitudes) < 180 < max(longitudes) < 200
    assert sent.value.response().ok


def test_length_and_area_are_measured(open_page, shot) -> None:
    page = open_page("#map=10.00/0/0")
    wait_for_map(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Measure length and area").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    x, y = frame["x"] + 200, frame["y"] + 300
    page.mouse.click(x, y)
    page.mouse.click(x + 300, y)
    # At zoom 10 on the equator, a pixel of MapLibre's tiles of 512 pixels is 76.4 m.
    page.mouse.move(x + 300, y)
    page.locator(".draw-hint b").get_by_text("km").wait_for()
    length = float(page.locator(".draw-hint b").inner_text().split(" km")[0])
    assert length == pytest.approx(300 * 40_030 / 2**19, rel=0.02)
    page.mouse.click(x + 300, y + 300)
    page.locator(".draw-hint b").get_by_text("km²").wait_for()
    shot(page, "42-measure")
    page.keyboard.press("Escape")
    page.locator(".draw-hint").wait_for(state="detached")


def test_an_export_takes_a_long_area(open_page, tmp_path: Path) -> None:
    """A link cannot hold such an area: it is saved on the server."""
    path = tmp_path / "bay.geojson"
    ring = [[12.8 + 0.6 * math.cos(at / 200 * math.pi), 52.5 + 0.4 * math.sin(at / 200 * math.pi)] for at in range(400)]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}))
    page = open_page("#q=a+lake", permissions=["clipboard-read", "clipboard-write"])
    wait_for_results(page)
    page.get_by_role("button", name="Filters", exact=True).click()
    page.locator("input[accept*='.kml']").set_input_files(path)
    page.wait_for_selector(".chip >> text=Area")
    wait_for_results(page)
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Copy a link").click()
    page.locator(".toast >> text=copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert "search=" in link
    other = open_page(at=link)
    other.wait_for_selector(".chip >> text=Area")
    search(other, "a village")
    assert other.locator(".chip >> text=Area").count() == 1
