"""Watching a search, what it found since the last visit and before, as in docs/tutorial-alert.md."""

import json

import pytest

from tests.browser.conftest import cards, wait_for_results

pytestmark = pytest.mark.browser


def test_a_search_is_watched_paused_resumed_opened_and_deleted(open_page, url: str, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c")
    wait_for_results(page)
    page.get_by_role("button", name="Alerts", exact=True).click()
    page.get_by_role("button", name="Watch this search").click()
    row = page.locator(".subscription")
    row.get_by_text("since").wait_for()
    shot(page, "37-alerts")
    kept = page.request.get(f"{url}subscriptions").json()["subscriptions"]
    assert [one["title"] for one in kept] == ["a lake"]
    assert kept[0]["request"]["sensors"] == ["sentinel2_l1c"]
    page.get_by_role("button", name="Pause a lake").click()
    row.get_by_text("paused").wait_for()
    page.get_by_role("button", name="Resume a lake").click()
    row.get_by_text("since").wait_for()
    page.reload()
    page.locator(".subscription .row-button").click()
    wait_for_results(page)
    assert page.input_value("#q") == "a lake"
    page.get_by_role("button", name="Alerts", exact=True).click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete a lake").click()
    row.wait_for(state="detached")
    assert page.request.get(f"{url}subscriptions").json()["subscriptions"] == []


def test_a_sentence_is_watched_by_probability_and_sent_by_webhook(open_page, url: str, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c&tab=alerts")
    form = page.locator(".alerts form")
    form.get_by_label("Alert when a new tile").select_option(label="matches with a probability of at least 50%")
    form.get_by_label("Send to (optional)").fill("http://127.0.0.1:9/hook")
    form.get_by_role("button", name="Watch this search").click()
    form.get_by_role("alert").get_by_text("not a public address").wait_for()
    form.get_by_label("Send to (optional)").fill("")
    form.get_by_role("button", name="Watch this search").click()
    page.locator(".subscription").get_by_text("since").wait_for()
    shot(page, "39-alert-by-probability")
    (kept,) = page.request.get(f"{url}subscriptions").json()["subscriptions"]
    assert kept["min_probability"] == 0.5
    assert "multispectral" in kept["imagery"]
    page.request.delete(f"{url}subscriptions/{kept['id']}")


def test_alerts_since_the_last_visit_are_new_once(open_page, shot) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    tiles = cards(page)[:3]

    def answer(route) -> None:
        alerts = [
            {
                "number": at + 1,
                "id": f"alert-{at}",
                "subscription": "s",
                "tile": tile,
                "score": 0.31,
                "created": "2026-01-02T10:00:00Z",
                "scene": "a new scene",
                "state": "failed" if at else "listed",
                "error": "the receiver answered 500",
            }
            for at, tile in enumerate(tiles)
        ]
        route.fulfill(body=json.dumps({"alerts": alerts[::-1], "counts": {}}), content_type="application/json")

    page.route("**/alerts?*", answer)
    page.reload()
    tab = page.get_by_role("navigation", name="Views").get_by_role("button", name="Alerts")
    tab.get_by_title("3 new alerts").wait_for()
    tab.click()
    page.get_by_role("heading", name="New since your last visit 3").wait_for()
    assert page.locator(".rows li.new").count() == 3
    page.get_by_text("Not delivered: the receiver answered 500").first.wait_for()
    shot(page, "38-new-alerts")
    page.reload()
    page.get_by_role("heading", name="New since your last visit 0").wait_for()
    assert tab.locator(".count").count() == 0
    page.locator(".row-button.alert").first.click()
    page.get_by_label(f"Tile {tiles[-1]}").first.wait_for()
