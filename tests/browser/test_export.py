"""Export: links that restore the page, files, code, bookmarks."""

import json
import subprocess
import sys

import pytest

from tests.browser.conftest import cards, chips, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser
_CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def _copied(page, name: str) -> str:
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name=name).click()
    page.locator(".toast >> text=copied").wait_for()
    return page.evaluate("navigator.clipboard.readText()")


def test_a_link_restores_search_filters_examples_and_view(open_page) -> None:
    page = open_page(**_CLIPBOARD)
    search(page, "a lake")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("+")
    page.wait_for_selector(".chip.for")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("checkbox", name="Sentinel-2 L1C").check()
    page.keyboard.press("Escape")
    page.wait_for_selector(".chip >> text=Sentinel-2 L1C")
    wait_for_results(page)
    page.locator(".card .face-button").nth(1).click()
    page.wait_for_timeout(900)
    wait_for_map(page)
    page.get_by_role("button", name="Copy a link to this tile").click()
    page.locator(".toast >> text=copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    before, text, tiles = chips(page), page.input_value("#q"), cards(page)
    other = open_page(at=link)
    other.wait_for_selector(".detail .large")
    assert other.input_value("#q") == text
    assert chips(other) == before
    assert cards(other) == tiles
    assert other.url.split("map=")[1] == link.split("map=")[1]


def test_a_search_with_an_image_is_saved_on_the_server_for_its_link(open_page, tmp_path, url) -> None:
    page = open_page(**_CLIPBOARD)
    search(page, "a lake")
    first = cards(page)[0]
    path = tmp_path / "place.png"
    path.write_bytes(page.request.get(f"{url}tiles/{first}/thumbnail.png").body())
    page.set_input_files("input[type=file]", path)
    page.wait_for_selector(".chip.for >> text=place.png")
    wait_for_results(page)
    tiles = cards(page)
    link = _copied(page, "Copy a link")
    assert "search=" in link
    other = open_page(at=link)
    other.wait_for_selector(".chip.for >> text=place.png")
    wait_for_results(other)
    assert cards(other) == tiles


@pytest.mark.parametrize("name", ["GeoJSON", "CSV", "GeoParquet"])
def test_results_are_downloaded_as_a_file(open_page, tmp_path, name: str) -> None:
    page = open_page("#q=a+lake&n=50&group=tile")
    wait_for_results(page)
    tiles = cards(page)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    if name == "GeoJSON":
        found = json.loads(path.read_text())
        assert [int(item["id"]) for item in found["features"]][: len(tiles)] == tiles
    elif name == "CSV":
        assert len(path.read_text().strip().splitlines()) > len(tiles)
    else:
        assert path.read_bytes()[:4] == b"PAR1"


def test_a_search_runs_as_curl_and_as_python(open_page) -> None:
    page = open_page("#q=it's+a+lake&n=50&group=tile", **_CLIPBOARD)
    wait_for_results(page)
    tiles = cards(page)
    command = _copied(page, "Copy as curl")
    page.keyboard.press("Escape")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert [int(item["id"]) for item in json.loads(answer.stdout)["features"]][: len(tiles)] == tiles
    code = _copied(page, "Copy as Python")
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert [int(line.split()[0]) for line in printed.splitlines()][: len(tiles)] == tiles


def test_a_bookmark_restores_the_search_and_its_stars(open_page, shot) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    page.locator(".card").nth(2).hover()
    page.get_by_role("button", name="Star result 3", exact=True).click()
    page.get_by_role("button", name="Bookmarks").click()
    page.get_by_label("Name").fill("lakes <i>I</i> like")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(page.url.split("#")[0])
    page.get_by_role("link", name="lakes <i>I</i> like").wait_for()
    shot(page, "19-saved")
    page.get_by_role("link", name="lakes <i>I</i> like").click()
    wait_for_results(page)
    assert page.input_value("#q") == "a lake"
    assert page.locator(".tool.star.on").count() == 1


def test_back_and_forward_go_through_the_searches(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    search(page, "a village")
    page.go_back()
    page.wait_for_function("() => document.querySelector('#q').value === 'a lake'")
    wait_for_results(page)
    page.go_forward()
    page.wait_for_function("() => document.querySelector('#q').value === 'a village'")
