"""Narrowing: a drawn area, time, sensors, the probability slider, groups; each is a chip that can be removed."""

import pytest

from tests.browser.conftest import ask, cards, chips, settled, still

pytestmark = pytest.mark.browser


def test_a_drawn_box_limits_the_places(open_page, shot) -> None:
    page = open_page()
    ask(page, "farmland divided into fields")
    everywhere = int(page.locator(".results-head h2 b").inner_text())
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    still(page)
    page.get_by_role("button", name="Results", exact=True).click()
    page.get_by_role("button", name="Draw a box to search in").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    page.mouse.move(x + 10, y + 10)
    page.mouse.move(x + 40, y + 40)
    page.mouse.up()
    page.wait_for_selector(".chip >> text=area")
    settled(page)
    assert 0 < int(page.locator(".results-head h2 b").inner_text()) < everywhere
    still(page)
    assert page.get_by_label("What is here").count() == 0, "letting go of the box counted as a press on the map"
    shot(page, "08-area")
    page.get_by_role("button", name="Remove the drawn area").click()
    page.wait_for_function(f"() => document.querySelector('.results-head h2 b')?.textContent === '{everywhere}'")


def test_a_polygon_is_drawn_corner_by_corner_and_escape_gives_up(open_page) -> None:
    page = open_page()
    ask(page, "a lake")
    page.get_by_role("button", name="Draw a polygon to search in").click()
    page.keyboard.press("Escape")
    assert page.locator(".draw-hint").count() == 0
    page.get_by_role("button", name="Draw a polygon to search in").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    for dx, dy in ((120, 60), (700, 90), (650, 600)):
        page.mouse.click(frame["x"] + dx, frame["y"] + dy)
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip >> text=area")
    assert "area=" in page.evaluate("new Promise(done => setTimeout(() => done(location.hash), 600))")


def test_a_box_is_typed_as_numbers_too(open_page) -> None:
    page = open_page()
    ask(page, "a lake")
    page.get_by_role("button", name="Filters", exact=True).click()
    for name, value in (("West", "12"), ("South", "52"), ("East", "13"), ("North", "53")):
        page.get_by_label(name, exact=True).fill(value)
    page.keyboard.press("Tab")
    page.wait_for_selector(".chip >> text=area")


def test_pulling_over_the_histogram_of_time_keeps_that_time(open_page, shot) -> None:
    page = open_page()
    ask(page, "farmland")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("checkbox", name="Sentinel-2 L1C").check()
    page.keyboard.press("Escape")
    page.wait_for_selector(".chip >> text=Sentinel-2 L1C")
    settled(page)
    frame = page.locator(".histogram.time svg").bounding_box()
    page.mouse.move(frame["x"] + 1, frame["y"] + 10)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.03, frame["y"] + 10, steps=3)
    page.mouse.up()
    page.wait_for_selector(".chip >> text=2017-")
    settled(page)
    days = set(page.locator(".caption .num").all_inner_texts())
    assert days == {"2017-02-16"}
    shot(page, "09-time")
    page.get_by_role("button", name="Remove the time").click()
    page.wait_for_function(
        "() => new Set([...document.querySelectorAll('.caption .num')].map(one => one.textContent)).size > 1"
    )


def test_sensors_and_collections_are_chips(open_page, shot) -> None:
    page = open_page()
    ask(page, "fields")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("checkbox", name="Sentinel-1 4").check()
    page.get_by_role("group", name="Collections").get_by_label("sentinel-1-grd").check()
    shot(page, "10-filters")
    page.keyboard.press("Escape")
    settled(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.caption .clip')].every(one => one.textContent === 'S1')"
    )
    assert "sentinel-1-grd" in chips(page)
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_selector(".chip", state="detached")


def test_the_slider_hides_what_is_less_likely_without_asking_the_server(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake surrounded by fields")
    before = int(page.locator(".results-head h2 b").inner_text())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/search") else None)
    slider = page.get_by_role("slider", name="Least probability")
    slider.focus()
    frame = page.locator("[data-testid=map]").bounding_box()
    for _ in range(6):
        slider.press("PageUp")
    page.wait_for_selector(".chip >> text=at least")
    assert page.locator("[data-testid=map]").bounding_box() == frame, "a chip moves the map"
    assert int(page.locator(".results-head h2 b").inner_text()) < before
    assert not asked
    still(page)
    shot(page, "11-slider")


def test_one_place_counts_once_when_grouped_by_place(open_page) -> None:
    page = open_page()
    ask(page, "farmland")
    every = int(page.locator(".results-head h2 b").inner_text())
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("group", name="Best of each").get_by_role("button", name="place").click()
    page.wait_for_selector(".chip >> text=best of each place")
    page.wait_for_function(
        f"() => +document.querySelector('.results[aria-busy=false] .results-head h2 b')?.textContent < {every}"
    )


def test_filters_that_leave_nothing_say_so_and_offer_ways_out(open_page, shot) -> None:
    page = open_page("#q=a+lake&from=1999-01-01&to=1999-12-31")
    page.get_by_text("No place passes the filters").wait_for()
    shot(page, "12-empty")
    page.get_by_role("button", name="At any time").click()
    settled(page)
    assert cards(page)


def test_a_question_without_a_likely_answer_says_that_nothing_matches(open_page, shot) -> None:
    page = open_page()
    page.route("**/search", _unlikely)
    ask(page, "a volcano erupting at night")
    page.get_by_text("Nothing here is likely to match").wait_for()
    shot(page, "13-nothing")
    page.unroute("**/search")
    page.locator(".nothing .button").first.click()
    page.get_by_text("Nothing here is likely to match").wait_for(state="detached")


def _unlikely(route) -> None:
    """The server's own answer, but none of it likely: so small an archive would have to hold no match for that."""
    answer = route.fetch()
    body = answer.json()
    body["nothing_matches"] = True
    for item in body["features"]:
        item["properties"] |= {"bandsight:match": False, "bandsight:probability": 0.001}
    route.fulfill(response=answer, json=body)
