"""Views: tile details, band combinations, other dates, similar tiles, comparison, heat map, classes."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import cards, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


def test_tile_details_in_other_band_combinations(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    page.locator(".card .face-button").first.click()
    page.wait_for_selector(".large .picture.seen")
    natural = page.locator(".large-picture").screenshot()
    page.get_by_role("button", name="False colour").click()
    page.wait_for_selector(".large img[src*='style=infrared']")
    page.wait_for_selector(".large .picture.seen")
    page.wait_for_timeout(400)
    assert page.locator(".large-picture").screenshot() != natural
    page.get_by_label("Single band").select_option("B08")
    page.wait_for_selector(".large img[src*='style=B08']")
    facts = page.locator(".facts").inner_text()
    assert "10 m" in facts
    assert "sentinel-2-l1c" in facts
    wait_for_map(page)
    shot(page, "14-detail")
    page.keyboard.press("Escape")
    page.locator(".detail").wait_for(state="detached")


def _boxes(page, *pictures: str) -> list[dict]:
    """Return the frame on the page and the box on the ground of the compared tiles' pictures."""
    found = []
    for picture in pictures:
        image = page.locator(picture).locator("xpath=descendant-or-self::img").first
        tile = int(re.search(r"tiles/(\d+)/", image.get_attribute("src"))[1])
        ground = page.evaluate("async tile => (await (await fetch(`tiles/${tile}`)).json()).bbox", tile)
        found.append({"frame": image.bounding_box(), "ground": ground})
    return found


def test_two_dates_of_a_place_are_compared(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    page.locator(".card .face-button").first.click()
    strip = page.get_by_label("Same place on other dates")
    strip.locator("li").nth(2).wait_for()
    # Three dates of one sensor, and radar where it covers the tile.
    assert strip.locator("li").count() in {3, 4}
    strip.locator("button:not([disabled])").first.click()
    page.get_by_label("Compare two tiles").wait_for()
    page.wait_for_function("() => document.querySelectorAll('.swipe .picture.seen').length === 2")
    page.wait_for_timeout(300)
    one, two = _boxes(page, ".swipe > .picture", ".swipe-ground .picture")
    west, south, east, north = one["ground"]
    # The same ground is at the same place, to 2 pixels.
    for side, degrees, whole, start in (("x", 0, east - west, west), ("y", 3, south - north, north)):
        size = "width" if side == "x" else "height"
        expected = one["frame"][side] + one["frame"][size] * (two["ground"][degrees] - start) / whole
        assert abs(two["frame"][side] - expected) < 2
    left = page.locator(".swipe").screenshot()
    slider = page.get_by_role("slider", name="Divider position")
    slider.focus()
    for _ in range(4):
        slider.press("PageDown")
    page.wait_for_timeout(200)
    assert page.locator(".swipe").screenshot() != left
    shot(page, "15-compare")
    page.keyboard.press("Escape")
    page.get_by_label("Compare two tiles").wait_for(state="detached")


def test_similar_tiles_can_be_opened(open_page) -> None:
    page = open_page("#q=a+village")
    page.locator(".card .face-button").first.click()
    like = page.get_by_label("Similar tiles")
    like.locator("li").nth(3).wait_for()
    before = page.url
    like.locator("li button").first.click()
    page.wait_for_function(f"() => location.href !== {before!r}")
    page.get_by_label("Similar tiles").locator("li").nth(3).wait_for()


def test_the_heat_map_covers_the_archive(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Results", exact=True).click()
    without = wait_for_map(page)
    with page.expect_response(lambda answer: "/heatmap/" in answer.url and ".png" in answer.url) as tile:
        page.get_by_role("button", name="Heat map").click()
    assert tile.value.ok
    with_heat = wait_for_map(page)
    assert _difference(without, with_heat) > 0.1, "the heat map changes little of the map"
    page.get_by_text("Heat map score").wait_for()
    shot(page, "16-heat")
    page.keyboard.press("h")
    page.wait_for_function("() => !document.querySelector('.heat-key')")


def test_switching_on_the_heat_map_zooms_to_it(open_page) -> None:
    page = open_page("#q=a+lake&map=1.50/20/0")
    wait_for_results(page)
    wait_for_map(page)
    with page.expect_response(lambda answer: "/heatmap/" in answer.url and ".png" in answer.url):
        page.get_by_role("button", name="Heat map").click()
    page.wait_for_timeout(1500)
    wait_for_map(page)
    page.wait_for_function("() => +(/map=([0-9.]+)/.exec(decodeURIComponent(location.hash))?.[1] ?? 0) > 8")


def test_two_starred_tiles_are_compared_and_a_whole_scene_is_shown(open_page) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    wait_for_results(page)
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("s")
    page.get_by_role("button", name="Bookmarks").click()
    page.get_by_role("button", name="Compare the two starred tiles").click()
    page.get_by_label("Compare two tiles").wait_for()
    page.keyboard.press("Escape")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(1200)
    wait_for_map(page)
    close = page.url
    page.get_by_title("Show the whole scene on the map").click()
    page.wait_for_function("before => location.href !== before", arg=close)


def test_classes_are_mapped_and_summed_up(open_page, shot) -> None:
    page = open_page()
    page.get_by_role("button", name="Classes", exact=True).click()
    page.get_by_label("Classes, separated by commas").fill("lake, farmland, forest, village")
    before = wait_for_map(page)
    page.get_by_role("button", name="Classify").click()
    page.wait_for_selector(".legend-table tbody tr")
    rows = page.locator(".legend-table tbody tr").all_inner_texts()
    assert len(rows) == 4
    tiles = sum(int(row.split("\t")[-1].replace(",", "")) for row in rows)
    held = page.request.get(page.url.split("#")[0] + "overview").json()["tiles"]
    assert tiles == held
    page.wait_for_timeout(900)
    assert _difference(before, wait_for_map(page)) > 0.02
    shot(page, "17-classes")


def test_what_matched_is_highlighted_in_the_tile(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    first = page.locator(".card .face-button").first
    first.click()
    page.wait_for_selector(".large .picture.seen")
    with page.expect_response("**/explain.png*") as overlay:
        page.get_by_label("Highlight what matched").check()
    assert overlay.value.ok, overlay.value.text()
    page.wait_for_selector("img.explain")
    page.wait_for_timeout(500)
    shot(page, "18-explain")
    assert page.get_by_role("slider", name="Overlay opacity").count() == 1
    assert cards(page)


def _difference(a: bytes, b: bytes) -> float:
    """Return the share of pixels that differ."""
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (a, b))
    return float((np.abs(one - other).max(axis=-1) > 12).mean())
