"""The page in the reader's language, with the numbers and dates of the reader's locale."""

import pytest

from tests.browser.conftest import search, wait_for_results

pytestmark = pytest.mark.browser


def test_the_page_speaks_german_to_a_german_browser(open_page, shot) -> None:
    page = open_page("#q=a+lake&sensor=sentinel2_l1c", locale="de-CH")
    wait_for_results_in_german(page)
    assert page.evaluate("document.documentElement.lang") == "de"
    assert "Orte" in page.locator(".results-head h2").inner_text()
    assert "2017" in page.locator(".caption .num").first.inner_text()
    assert "." in page.locator(".caption .num").first.inner_text(), "the date is not written as in German"
    shot(page, "43-german")
    page.get_by_role("button", name="Tastenkürzel und Hilfe").click()
    page.get_by_label("Sprache").select_option("English")
    page.get_by_role("button", name="Export").wait_for()
    page.reload()
    page.wait_for_selector(".app")
    assert page.evaluate("document.documentElement.lang") == "en"
    search(page, "a village")


def wait_for_results_in_german(page) -> None:
    page.wait_for_selector(".results[aria-busy=false][data-refining=fresh] .card")


def test_dates_follow_the_locale_within_one_language(open_page) -> None:
    days = []
    for locale in ("en-US", "en-GB"):
        page = open_page("#q=a+lake&sensor=sentinel2_l1c&group=tile&from=2017-02-16&to=2017-02-16", locale=locale)
        wait_for_results(page)
        days.append(page.locator(".caption .num").first.inner_text())
    assert days == ["Feb 16, 2017", "16 Feb 2017"]
