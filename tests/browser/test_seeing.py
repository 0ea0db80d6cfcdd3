"""Seeing: a hit in detail, bands, its place in time, its like, the swipe, the heat map, classes."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import ask, cards, settled, still

pytestmark = pytest.mark.browser


def test_a_hit_in_detail_in_other_bands(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    page.locator(".card .face-button").first.click()
    page.wait_for_selector(".large .picture.seen")
    natural = page.locator(".large-picture").screenshot()
    page.get_by_role("button", name="False colour").click()
    page.wait_for_selector(".large img[src*='style=infrared']")
    page.wait_for_selector(".large .picture.seen")
    page.wait_for_timeout(400)
    assert page.locator(".large-picture").screenshot() != natural
    page.get_by_label("A single band").select_option("B08")
    page.wait_for_selector(".large img[src*='style=B08']")
    facts = page.locator(".facts").inner_text()
    assert "10 m" in facts
    assert "sentinel-2-l1c" in facts
    still(page)
    shot(page, "14-detail")
    page.keyboard.press("Escape")
    page.locator(".detail").wait_for(state="detached")


def test_the_same_place_at_other_times_is_swiped_over(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    page.locator(".card .face-button").first.click()
    strip = page.get_by_label("The same place at other times")
    strip.locator("li").nth(2).wait_for()
    # Three dates of one sensor, and radar where it covers the place.
    assert strip.locator("li").count() in {3, 4}
    strip.locator("button:not([disabled])").first.click()
    page.get_by_label("Compare two places").wait_for()
    page.wait_for_function("() => document.querySelectorAll('.swipe .picture.seen').length === 2")
    page.wait_for_timeout(300)
    left = page.locator(".swipe").screenshot()
    slider = page.get_by_role("slider", name="Where the line stands")
    slider.focus()
    for _ in range(4):
        slider.press("PageDown")
    page.wait_for_timeout(200)
    assert page.locator(".swipe").screenshot() != left
    shot(page, "15-compare")
    page.keyboard.press("Escape")
    page.get_by_label("Compare two places").wait_for(state="detached")


def test_what_looks_like_a_hit_leads_on(open_page) -> None:
    page = open_page("#q=a+village")
    page.locator(".card .face-button").first.click()
    like = page.get_by_label("Places that look like it")
    like.locator("li").nth(3).wait_for()
    before = page.url
    like.locator("li button").first.click()
    page.wait_for_function(f"() => location.href !== {before!r}")
    page.get_by_label("Places that look like it").locator("li").nth(3).wait_for()


def test_the_heat_map_lies_over_the_archive(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Results", exact=True).click()
    without = still(page)
    with page.expect_response(lambda answer: "/heatmap/" in answer.url and answer.url.endswith(".png")) as tile:
        page.get_by_role("button", name="Heat map of the question").click()
    assert tile.value.ok
    with_heat = still(page)
    assert _difference(without, with_heat) > 0.2, "the heat map changes little of the map"
    page.get_by_text("Heat, score").wait_for()
    shot(page, "16-heat")
    page.keyboard.press("h")
    page.wait_for_function("() => !document.querySelector('.heat-key')")


def test_from_far_away_the_heat_map_is_gone_to(open_page) -> None:
    page = open_page("#q=a+lake&map=1.50/20/0")
    settled(page)
    still(page)
    with page.expect_response(lambda answer: "/heatmap/" in answer.url and answer.url.endswith(".png")):
        page.get_by_role("button", name="Heat map of the question").click()
    page.wait_for_timeout(1500)
    still(page)
    page.wait_for_function("() => +(/map=([0-9.]+)/.exec(decodeURIComponent(location.hash))?.[1] ?? 0) > 8")


def test_two_kept_places_are_compared_and_a_scene_is_shown_whole(open_page) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    settled(page)
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("s")
    page.get_by_role("button", name="Saved selections").click()
    page.get_by_role("button", name="Compare the two").click()
    page.get_by_label("Compare two places").wait_for()
    page.keyboard.press("Escape")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(1200)
    still(page)
    close = page.url
    page.get_by_title("Show the whole scene on the map").click()
    page.wait_for_function("before => location.href !== before", arg=close)


def test_classes_colour_the_area_and_sum_up(open_page, shot) -> None:
    page = open_page()
    page.get_by_role("button", name="Classes", exact=True).click()
    page.get_by_label("Labels, separated by commas").fill("lake, farmland, forest, village")
    before = still(page)
    page.get_by_role("button", name="Classify").click()
    page.wait_for_selector(".legend-table tbody tr")
    rows = page.locator(".legend-table tbody tr").all_inner_texts()
    assert len(rows) == 4
    tiles = sum(int(row.split("\t")[-1].replace(",", "")) for row in rows)
    held = page.request.get(page.url.split("#")[0] + "overview").json()["tiles"]
    assert tiles == held
    page.wait_for_timeout(900)
    assert _difference(before, still(page)) > 0.02
    shot(page, "17-classes")


def test_where_in_the_tile_the_match_lies(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    first = page.locator(".card .face-button").first
    first.click()
    page.wait_for_selector(".large .picture.seen")
    with page.expect_response("**/explain.png*") as overlay:
        page.get_by_label("Where the match lies").check()
    assert overlay.value.ok, overlay.value.text()
    page.wait_for_selector("img.explain")
    page.wait_for_timeout(500)
    shot(page, "18-explain")
    assert page.get_by_role("slider", name="Strength of the overlay").count() == 1
    assert cards(page)


def _difference(a: bytes, b: bytes) -> float:
    """Share of the pixels that differ."""
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (a, b))
    return float((np.abs(one - other).max(axis=-1) > 12).mean())
