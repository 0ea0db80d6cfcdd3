"""The Archive tab: what the archive contains, and its indexing jobs."""

import json

import pytest

pytestmark = pytest.mark.browser


def test_the_overview_shows_what_the_archive_contains(open_page, url: str, shot) -> None:
    page = open_page("#tab=archive")
    held = page.request.get(f"{url}overview").json()
    numbers = page.locator(".numbers")
    numbers.wait_for()
    assert str(held["tiles"]) in numbers.inner_text()
    rows = page.locator(".months tbody tr")
    assert rows.count() == len(held["sensors"])
    # 2017-02 to 2020-05 in quarters, those without tiles included.
    assert page.get_by_role("heading", name="Tiles by sensor and quarter").count() == 1
    assert rows.first.locator(".cells span").count() == 14
    assert "Jan 2017 to Mar 2017" in page.locator(".cells[aria-label]").last.get_attribute("aria-label")
    assert page.get_by_text("Research use only").count() == 1
    assert page.get_by_text("Recall is 1.0").count() == 1
    page.get_by_role("button", name="Show coverage").click()
    page.wait_for_timeout(1200)
    shot(page, "29-archive")


def test_a_running_job_shows_its_progress(open_page, shot) -> None:
    page = open_page()
    state = {"tiles": 120}

    def jobs(route) -> None:
        share = min(100, state["tiles"] * 100 // 400)
        state["tiles"] += 140
        counts = {"scenes": 4, "added": share // 25, "skipped": 0, "failed": 1, "tiles": share * 4}
        job = {
            "jobID": "7",
            "processID": "index",
            "status": "running" if share < 100 else "successful",
            "message": "",
            "started": "2026-01-02T10:00:00Z",
            "progress": share,
            "bandsight:sources": [f"/data/scenes/spring/of-a-long-name-{at}" for at in range(9)],
            "bandsight:counts": {**counts, "tiles_per_s": 90.0, "remaining_s": None if share >= 100 else 3.0},
        }
        if route.request.url.endswith("/7"):
            failure = {"scene": "cut.tif", "href": "/data/cut.tif", "reason": "cut.tif: ends before its last block"}
            job["bandsight:failures"] = [failure]
            route.fulfill(body=json.dumps(job), content_type="application/json")
        else:
            route.fulfill(body=json.dumps({"jobs": [job], "links": []}), content_type="application/json")

    page.route("**/jobs*", jobs)
    page.route("**/jobs/*", jobs)
    page.get_by_role("button", name="Archive", exact=True).click()
    bar = page.get_by_role("progressbar", name="Progress of job 7")
    bar.wait_for()
    first = int(bar.get_attribute("aria-valuenow"))
    page.wait_for_function(f"() => +document.querySelector('[role=progressbar]').ariaValueNow > {first}")
    page.get_by_text("1 scene failed").click()
    page.get_by_text("ends before its last block").wait_for()
    shot(page, "30-jobs")
    wide, seen = page.locator(".archive").evaluate("node => [node.scrollWidth, node.clientWidth]")
    assert wide <= seen, "a job is wider than its panel"
    page.locator(".job .state.successful").wait_for()


def test_the_jobs_of_the_server_are_listed(open_page, url: str) -> None:
    page = open_page("#tab=archive")
    jobs = page.request.get(f"{url}jobs").json()["jobs"]
    page.get_by_label("Indexing jobs").wait_for()
    if jobs:
        page.locator(".job").first.wait_for()
        assert page.locator(".job").count() == len(jobs)
    else:
        page.get_by_text("No jobs yet.").wait_for()
