"""Bad input and failures: hostile names, slow and failing responses, no archive yet."""

import shutil
import threading
from pathlib import Path

import pytest

from tests.browser.conftest import MARKUP, START_TIMEOUT_S, search, wait_for_results

pytestmark = pytest.mark.browser


def test_markup_in_names_labels_and_searches_is_text(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=rgb")
    wait_for_results(page)
    assert MARKUP in page.locator(".face-button").first.text_content()
    page.locator(".card .face-button").first.click()
    page.locator(".facts").get_by_text(MARKUP, exact=False).first.wait_for()
    shot(page, "25-hostile")
    page.keyboard.press("Escape")
    search(page, MARKUP.replace(",", " "))
    page.get_by_role("button", name="Examples and weights").click()
    page.get_by_label("Add a description").fill(MARKUP)
    page.get_by_role("button", name="More like this description").click()
    page.wait_for_selector(".chip.for")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Classes", exact=True).click()
    page.get_by_label("Classes, separated by commas").fill(f"{MARKUP}, water")
    page.get_by_role("button", name="Classify").click()
    page.wait_for_selector(".legend-table tbody tr")
    page.reload()
    page.wait_for_selector(".map-frame[data-ready]")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0


@pytest.fixture
def unwatched(browser, url: str):
    """A page on which policy violations do not fail the test."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".app")
    yield page
    context.close()


def test_the_content_security_policy_blocks_inline_scripts(unwatched, url: str) -> None:
    page = unwatched
    policy = page.request.get(url, headers={"Accept": "text/html"}).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = 1";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="window.ran = 2">');
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None


def test_an_error_is_shown_with_its_reason_and_can_be_retried(open_page, shot) -> None:
    page = open_page()
    problem = {"title": "Service Unavailable", "status": 503, "detail": "the disk of the archive is gone"}
    page.route("**/search", lambda route: route.fulfill(status=503, json=problem))
    page.fill("#q", "a lake")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("the disk of the archive is gone").wait_for()
    shot(page, "26-failed")
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    wait_for_results(page)


def test_an_unreachable_server_is_reported(open_page) -> None:
    page = open_page()
    page.route("**/search", lambda route: route.abort())
    page.fill("#q", "a lake")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("Cannot reach the server").wait_for()


def test_a_slow_search_says_so_and_can_be_stopped(open_page, shot) -> None:
    page = open_page()
    held = []
    page.route("**/search", lambda route: held.append(route))
    page.fill("#q", "a lake")
    page.keyboard.press("Enter")
    page.get_by_text("taking longer than usual").wait_for()
    shot(page, "27-slow")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Try again").wait_for()
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    wait_for_results(page)


def test_a_truncated_response_is_an_error(open_page) -> None:
    page = open_page()
    page.route("**/search", lambda route: route.fulfill(status=200, body='{"features": ['))
    page.fill("#q", "a lake")
    page.keyboard.press("Enter")
    page.get_by_text("incomplete or not valid JSON").wait_for()


def test_the_newest_search_wins_over_a_slower_older_one(open_page) -> None:
    page = open_page()
    slow = threading.Event()
    held = []

    def hold(route) -> None:
        if "village" in route.request.post_data:
            route.continue_()
        else:
            held.append(route)
            slow.set()

    page.route("**/search", hold)
    page.fill("#q", "a lake")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.results')?.ariaBusy === 'true'")
    search(page, "a village")
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    assert page.input_value("#q") == "a village"
    assert page.locator(".results[aria-busy=false] .card").count() > 0


def test_a_missing_image_shows_its_reason(open_page, shot) -> None:
    page = open_page()
    problem = {"title": "Gone", "status": 410, "detail": "the file of the scene is missing"}
    for images in ("**/thumbnail.png*", "**/imagery/tiles/**"):
        page.route(images, lambda route: route.fulfill(status=410, json=problem))
    search(page, "a lake")
    page.locator(".card").get_by_text("No image").first.wait_for()
    page.locator(".card").get_by_text("the file of the scene is missing").first.wait_for()
    notice = page.locator(".map-problem")
    notice.get_by_text("Some imagery is missing on the map: the file of the scene is missing").wait_for()
    shot(page, "29-missing")
    notice.get_by_role("button", name="Close").click()
    notice.wait_for(state="detached")


def test_without_an_archive_the_page_says_what_to_do_and_continues_when_there_is_one(
    open_page, serve, archive: Path, tmp_path: Path, shot
) -> None:
    place = tmp_path / "mine"
    url = serve(place)
    page = open_page(at=url, settle=False)
    page.get_by_text("No archive yet").wait_for()
    assert page.get_by_text(f"bandsight index /data/scenes --archive {place}").count() == 1
    assert page.get_by_text("make demo").count() == 1
    answer = page.request.get(f"{url}collections")
    assert answer.status == 503
    assert answer.json()["detail"].startswith(str(place))
    shot(page, "28-first-run")
    shutil.copytree(archive, place)
    # The server loads the model now: as long as a server may take to start.
    page.wait_for_selector(".examples button", timeout=START_TIMEOUT_S * 1000)


def test_a_server_that_goes_away_and_comes_back_is_asked_again(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    page.route("**/search", lambda route: route.abort())
    page.route("**/healthz", lambda route: route.abort())
    page.fill("#q", "a village")
    page.keyboard.press("Enter")
    page.get_by_text("The server is not responding.").wait_for()
    page.unroute("**/search")
    page.unroute("**/healthz")
    page.get_by_text("The server is not responding.").wait_for(state="detached")
    wait_for_results(page)
    assert page.input_value("#q") == "a village"


def test_an_archive_that_has_changed_under_the_page_is_noticed(open_page) -> None:
    page = open_page()
    page.wait_for_selector(".examples button")

    def later(route) -> None:
        response = route.fetch()
        body = response.json()
        for item in body["features"]:
            item["properties"]["bandsight:generation"] += 1
        route.fulfill(response=response, json=body)

    page.route("**/search", later)
    with page.expect_request("**/overview"):
        search(page, "a lake")
