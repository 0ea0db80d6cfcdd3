"""Filters: a drawn area, dates, sensors, the probability slider, grouping. Each is a chip that can be removed."""

import pytest

from tests.browser.conftest import begin_box, cards, chips, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


def test_a_drawn_box_limits_the_results(open_page, shot) -> None:
    page = open_page()
    search(page, "farmland divided into fields")
    everywhere = int(page.locator(".results-head h2 b").inner_text())
    x, y = begin_box(page)
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    page.mouse.move(x + 10, y + 10)
    page.mouse.move(x + 40, y + 40)
    # A busy page gets the click long after the release.
    page.evaluate("""() => {
      const stall = () => { const until = performance.now() + 800; while (performance.now() < until); };
      addEventListener("pointerup", stall, { once: true });
    }""")
    page.mouse.up()
    page.wait_for_selector(".chip >> text=Area")
    wait_for_results(page)
    assert 0 < int(page.locator(".results-head h2 b").inner_text()) < everywhere
    wait_for_map(page)
    assert page.get_by_label("What is here").count() == 0, (
        "releasing the pointer after drawing counts as a click on the map"
    )
    shot(page, "08-area")
    page.get_by_role("button", name="Remove area filter").click()
    page.wait_for_function(f"() => document.querySelector('.results-head h2 b')?.textContent === '{everywhere}'")


def test_a_polygon_is_drawn_corner_by_corner_and_escape_cancels(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    page.get_by_role("button", name="Draw a polygon to search in").click()
    page.keyboard.press("Escape")
    assert page.locator(".draw-hint").count() == 0
    page.get_by_role("button", name="Draw a polygon to search in").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    for dx, dy in ((120, 60), (700, 90), (650, 600)):
        page.mouse.click(frame["x"] + dx, frame["y"] + dy)
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip >> text=Area")
    assert "area=" in page.evaluate("new Promise(done => setTimeout(() => done(location.hash), 600))")


def test_a_double_click_closes_a_polygon_and_does_not_zoom(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    wait_for_map(page)
    frame = page.locator("[data-testid=map]").bounding_box()
    scale = page.locator(".maplibregl-ctrl-scale").inner_text()
    page.get_by_role("button", name="Draw a polygon to search in").click()
    for dx, dy in ((320, 160), (600, 190)):
        page.mouse.click(frame["x"] + dx, frame["y"] + dy)
    page.mouse.dblclick(frame["x"] + 550, frame["y"] + 400)
    page.wait_for_selector(".chip >> text=Area")
    page.wait_for_timeout(1000)
    assert page.locator(".maplibregl-ctrl-scale").inner_text() == scale


def test_the_sides_of_a_box_can_be_typed(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    page.get_by_role("button", name="Filters", exact=True).click()
    for name, value in (("West", "12"), ("South", "52"), ("East", "13"), ("North", "53")):
        page.get_by_label(name, exact=True).fill(value)
    page.keyboard.press("Tab")
    page.wait_for_selector(".chip >> text=Area")


def test_dragging_across_the_date_histogram_filters_by_date(open_page, shot) -> None:
    page = open_page()
    search(page, "farmland")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("checkbox", name="Sentinel-2 L1C").check()
    page.keyboard.press("Escape")
    page.wait_for_selector(".chip >> text=Sentinel-2 L1C")
    wait_for_results(page)
    frame = page.locator(".histogram.time svg").bounding_box()
    page.mouse.move(frame["x"] + 1, frame["y"] + 10)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.03, frame["y"] + 10, steps=3)
    page.mouse.up()
    page.wait_for_selector(".chip >> text=2017")
    wait_for_results(page)
    days = set(page.locator(".caption .num").all_inner_texts())
    assert days == {"Feb 16, 2017"}
    shot(page, "09-time")
    page.get_by_role("button", name="Remove date filter").click()
    page.wait_for_function(
        "() => new Set([...document.querySelectorAll('.caption .num')].map(one => one.textContent)).size > 1"
    )


def test_the_time_slider_filters_by_keyboard(open_page) -> None:
    page = open_page("#q=farmland&sensor=sentinel2_l1c")
    wait_for_results(page)
    first = page.get_by_role("slider", name="Start of range")
    first.press("ArrowRight")
    page.wait_for_selector(".chip >> text=2017")
    wait_for_results(page)
    assert "Feb 16, 2017" not in page.locator(".caption .num").all_inner_texts()
    first.press("ArrowLeft")
    page.wait_for_selector(".chip >> text=2017", state="detached")


def test_sensors_and_collections_are_chips(open_page, shot) -> None:
    page = open_page()
    search(page, "fields")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("checkbox", name="Sentinel-1 4").check()
    page.get_by_role("group", name="Collections").get_by_label("sentinel-1-grd").check()
    shot(page, "10-filters")
    page.keyboard.press("Escape")
    wait_for_results(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.caption .clip')].every(one => one.textContent === 'S1')"
    )
    assert "sentinel-1-grd" in chips(page)
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_selector(".chip", state="detached")


def test_the_probability_slider_filters_without_a_request(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake surrounded by fields")
    before = int(page.locator(".results-head h2 b").inner_text())
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/search") else None)
    slider = page.get_by_role("slider", name="Minimum probability")
    slider.focus()
    frame = page.locator("[data-testid=map]").bounding_box()
    for _ in range(6):
        slider.press("PageUp")
    page.wait_for_selector(".chip >> text=Probability")
    assert page.locator("[data-testid=map]").bounding_box() == frame, "a chip moves the map"
    assert int(page.locator(".results-head h2 b").inner_text()) < before
    assert not sent
    wait_for_map(page)
    shot(page, "11-slider")


def test_tiles_of_one_place_are_one_result_unless_tiles_are_asked_for(open_page) -> None:
    page = open_page()
    search(page, "farmland")
    headline = page.locator(".results-head h2")
    places = int(headline.locator("b").inner_text())
    assert "places" in headline.inner_text()
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("group", name="One result per").get_by_role("button", name="tile").click()
    page.wait_for_selector(".chip >> text=One result per tile")
    page.wait_for_function(
        f"() => +document.querySelector('.results[aria-busy=false] .results-head h2 b')?.textContent > {places}"
    )
    assert "results" in headline.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove grouping").click()
    page.wait_for_function(f"() => +document.querySelector('.results-head h2 b')?.textContent === {places}")


def test_filters_without_results_show_a_message_and_buttons_that_remove_them(open_page, shot) -> None:
    page = open_page("#q=a+lake&from=1999-01-01&to=1999-12-31")
    page.get_by_text("No results match these filters").wait_for()
    shot(page, "12-empty")
    page.get_by_role("button", name="Any date").click()
    wait_for_results(page)
    assert cards(page)


def test_a_search_without_a_likely_result_says_so(open_page, shot) -> None:
    page = open_page()
    page.route("**/search", _unlikely)
    search(page, "a volcano erupting at night")
    page.get_by_text("No good matches.").wait_for()
    shot(page, "13-nothing")
    page.unroute("**/search")
    page.locator(".nothing .button").first.click()
    page.get_by_text("No good matches.").wait_for(state="detached")


def _unlikely(route) -> None:
    """Fulfil with the server's response, but with no likely match; a small archive has one for nearly every search."""
    response = route.fetch()
    body = response.json()
    body["nothing_matches"] = True
    for item in body["features"]:
        item["properties"] |= {"bandsight:match": False, "bandsight:probability": 0.001}
    route.fulfill(response=response, json=body)
