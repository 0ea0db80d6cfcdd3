"""Change between two periods, with both pictures of each place, as in docs/tutorial-change.md."""

import pytest

from tests.browser.conftest import wait_for_map

pytestmark = pytest.mark.browser


def test_places_that_differ_between_two_periods_are_compared(open_page, shot) -> None:
    page = open_page("#tab=change")
    page.get_by_label("Earlier images, up to").fill("2017-06-30")
    page.get_by_label("Later images, from").fill("2017-07-01")
    page.get_by_label("It is now").fill("dry fields")
    page.get_by_role("button", name="Find changes").click()
    found = page.get_by_label("Places that changed")
    found.get_by_text("seen in both periods").wait_for()
    # The same season is compared: whether any place stands out is not what this test is about.
    largest = found.get_by_role("button", name="Show the largest differences")
    if largest.count():
        largest.click()
    found.locator(".changes li").first.wait_for()
    with page.expect_response(lambda answer: "/change/heatmap/" in answer.url) as tile:
        found.get_by_role("button", name="Show on the map").click()
    assert tile.value.ok
    wait_for_map(page)
    legend = page.get_by_label("Change (z-score)")
    legend.wait_for()
    shot(page, "45-change-map")
    shown = page.locator("[data-testid=map]").screenshot()
    legend.get_by_role("button", name="Hide the change layer").click()
    wait_for_map(page)
    assert page.locator("[data-testid=map]").screenshot() != shown
    found.locator(".changes li button").first.click()
    page.get_by_label("Compare two tiles").wait_for()
    page.wait_for_function("() => document.querySelectorAll('.swipe .picture.seen').length === 2")
    shot(page, "44-change")
    page.keyboard.press("Escape")
    found.get_by_text("More like this").first.click()
    found.get_by_text("Places that changed like the chosen one").wait_for()
    found.get_by_text("seen in both periods").wait_for()
    page.get_by_role("button", name="Archive", exact=True).click()
    page.get_by_role("button", name="Change", exact=True).click()
    assert page.get_by_label("It is now").input_value() == "dry fields", "what was asked is lost"


def test_a_period_without_scenes_says_so(open_page) -> None:
    page = open_page("#tab=change", settle=False)
    page.get_by_label("Earlier images, up to").fill("1999-12-31")
    page.get_by_label("Later images, from").fill("2000-01-01")
    page.get_by_label("It was").fill("a forest")
    page.get_by_role("button", name="Find changes").click()
    page.get_by_role("alert").get_by_text("before").wait_for()
