"""Results are places: dates and scales of one spot are one result. Sensors, order, table and stars."""

import pytest

from tests.browser.conftest import cards, chips, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser
_CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def test_the_dates_of_a_place_are_one_result_with_a_strip_of_dates(open_page) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    wait_for_results(page)
    boxes = page.evaluate(
        """async ids => {
      const body = JSON.stringify({ ids: ids.map(String), limit: ids.length });
      const answer = await fetch("search", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      return (await answer.json()).features.map(one => one.bbox);
    }""",
        cards(page),
    )
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            assert _shared(one, other) < 0.5, "two results show one place"
    # Three dates of each spot.
    strip = page.locator(".card .date-strip").first
    assert int(strip.inner_text()) >= 3
    assert strip.locator("i.shown").count() == 1
    page.locator(".card .face-button").first.click()
    page.get_by_label("Same place on other dates").locator("li").nth(2).wait_for()


def _shared(one: list[float], other: list[float]) -> float:
    """Return the part of the smaller box that both share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0, wide) * max(0, high) / smaller


def test_one_click_shows_one_sensor(open_page, shot) -> None:
    page = open_page("#q=fields")
    wait_for_results(page)
    sensors = page.get_by_role("group", name="Sensors", exact=True)
    sensors.get_by_role("button", name="S1").click()
    page.wait_for_selector(".chip >> text=Sentinel-1")
    wait_for_results(page)
    assert set(page.locator(".caption .clip").all_inner_texts()) == {"S1"}
    shot(page, "31-sensor")
    sensors.get_by_role("button", name="All").click()
    page.wait_for_selector(".chip", state="detached")


def test_imagery_without_a_calibration_has_an_order_and_neither_probability_nor_tick(open_page) -> None:
    page = open_page()
    page.route("**/search", _uncalibrated)
    search(page, "a lake")
    page.get_by_text("Not calibrated for").wait_for()
    badges = [one.strip() for one in page.locator(".card .badge").all_inner_texts()]
    assert badges == [f"#{rank}" for rank in range(1, len(badges) + 1)]
    assert page.locator(".card .tick").count() == 0
    assert "likely" not in page.locator(".results-head h2").inner_text()


def _uncalibrated(route) -> None:
    """Fulfil with the server's response, as if the model were not calibrated for any of its imagery."""
    response = route.fetch()
    body = response.json()
    for item in body["features"]:
        item["properties"] |= {
            "bandsight:match": True,
            "bandsight:probability": None,
            "bandsight:probability_reason": "not calibrated for radar",
        }
    # One tile with a probability makes it a search with probabilities; it comes last.
    body["features"][-1]["properties"]["bandsight:probability"] = 0.0
    route.fulfill(response=response, json=body)


def test_results_are_sorted_by_date_and_shown_as_a_table(open_page, shot) -> None:
    page = open_page("#q=a+lake+surrounded+by+fields&group=tile")
    wait_for_results(page)
    best = cards(page)
    page.get_by_label("Sort by").select_option("Oldest first")
    page.wait_for_function("first => +document.querySelector('.card')?.dataset.tile !== first", arg=best[0])
    days = page.locator(".caption .num").all_inner_texts()
    years = [int(day[-4:]) for day in days if day != "No date"]
    assert years == sorted(years)
    page.get_by_role("button", name="Table").click()
    rows = page.locator("table.places tbody tr[data-tile]")
    rows.first.wait_for()
    assert "2017" in rows.first.inner_text()
    shot(page, "32-table")
    wide, seen = page.locator(".results .scroller").evaluate("node => [node.scrollWidth, node.clientWidth]")
    assert wide <= seen, "the table is wider than its panel"
    page.get_by_role("button", name="Open result 2", exact=True).click()
    page.locator(".detail").wait_for()
    assert "layout=table" in page.evaluate("new Promise(done => setTimeout(() => done(location.hash), 400))")


def test_starred_places_are_a_view_that_a_link_shares(open_page, shot) -> None:
    page = open_page("#q=a+lake", **_CLIPBOARD)
    wait_for_results(page)
    for name in ("Star result 1", "Star result 2"):
        page.locator(f".card[aria-posinset='{name[-1]}']").hover()
        page.get_by_role("button", name=name, exact=True).click()
    chosen = cards(page)[:2]
    page.get_by_role("button", name="Bookmarks").click()
    page.get_by_role("button", name="Show 2 starred tiles").click()
    page.wait_for_selector(".starred-view .card >> nth=1")
    assert cards(page) == chosen
    shot(page, "33-starred")
    page.get_by_role("button", name="Copy a link to share").click()
    page.locator(".toast >> text=copied").wait_for()
    other = open_page(at=page.evaluate("navigator.clipboard.readText()"))
    other.wait_for_selector(".starred-view .card >> nth=1")
    assert cards(other) == chosen
    page.reload()
    page.wait_for_selector(".starred-view .card >> nth=1")
    assert cards(page) == chosen, "stars are lost when the page is loaded again"


def test_plus_and_minus_collect_and_nothing_moves_under_the_pointer(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake surrounded by fields")
    wait_for_map(page)
    before = cards(page)
    frame = page.locator(".card").first.bounding_box()
    for rank, name in ((1, "More like result 1"), (2, "Less like result 2")):
        page.locator(f".card[aria-posinset='{rank}']").hover()
        page.get_by_role("button", name=name, exact=True).click()
    tray = page.get_by_label("Examples", exact=True)
    tray.locator(".chip.for").wait_for()
    tray.locator(".chip.against").wait_for()
    page.wait_for_selector(".results[data-refining=held]")
    # The tray takes room, so that fewer cards may be drawn.
    after = cards(page)
    assert len(after) > 3
    assert after == before[: len(after)], "the list changes under the pointer"
    assert page.locator(".card").first.bounding_box() == frame
    shot(page, "34-tray")
    page.mouse.move(10, 10)
    page.wait_for_selector(".results[data-refining=fresh]")
    assert not set(before[:2]) & set(cards(page)), "examples are among the results"
    assert f"tile {before[0]}" in chips(page)
    tray.get_by_role("button", name="Remove all").click()
    tray.wait_for(state="detached")
    wait_for_results(page)
    # The list is drawn again when the room of the tray is free.
    page.wait_for_function("many => document.querySelectorAll('.card').length >= many", arg=len(before))
    assert cards(page) == before
