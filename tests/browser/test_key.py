"""A server with a key: signing in and out, and a session that ends while the page is open."""

import re

import pytest

from tests.browser.conftest import KEY, search, sign_in, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


def test_the_page_asks_for_the_key_and_opens_the_linked_search(open_page, keyed_url: str, shot) -> None:
    page = open_page("#q=a+lake", at=keyed_url, settle=False)
    page.get_by_role("heading", name="Sign in to Bandsight").wait_for()
    shot(page, "30-sign-in")
    sign_in(page, "not this one")
    page.get_by_role("alert").get_by_text("not valid on this server").wait_for()
    shot(page, "31-wrong-key")
    sign_in(page)
    wait_for_results(page)
    assert page.input_value("#q") == "a lake"
    page.wait_for_selector(".map-frame[data-ready]")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 6).every(i => i.complete && i.naturalWidth)"
    )
    wait_for_map(page)
    shot(page, "32-signed-in")


def test_scripts_cannot_read_the_cookie_and_the_key_is_stored_nowhere(open_page, keyed_url: str) -> None:
    page = open_page(at=keyed_url, settle=False)
    sign_in(page)
    page.wait_for_selector(".map-frame[data-ready]")
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert KEY not in cookie["value"]
    assert page.evaluate("document.cookie") == ""
    assert KEY not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert KEY not in page.url


def test_signing_out_asks_for_the_key_again(open_page, keyed_url: str) -> None:
    page = open_page(at=keyed_url, settle=False)
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to Bandsight").wait_for()
    assert not page.context.cookies()
    page.reload()
    page.get_by_role("heading", name="Sign in to Bandsight").wait_for()


def test_a_server_without_a_key_has_no_sign_out(open_page) -> None:
    page = open_page()
    page.wait_for_selector(".examples button")
    assert page.get_by_role("button", name="Sign out").count() == 0


def test_a_session_that_ends_keeps_the_page_and_continues_after_signing_in(open_page, keyed_url: str, shot) -> None:
    page = open_page(at=keyed_url, settle=False)
    sign_in(page)
    page.wait_for_selector(".map-frame[data-ready]")
    search(page, "a lake")
    page.locator(".card[aria-posinset='1']").hover()
    page.get_by_role("button", name="More like result 1", exact=True).click()
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
    page.context.clear_cookies()
    page.fill("#q", "a village with houses")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="You are signed out").wait_for()
    shot(page, "33-session-ended")
    page.keyboard.press("Escape")
    sign_in(page)
    page.get_by_role("dialog", name="You are signed out").wait_for(state="detached")
    wait_for_results(page)
    assert page.input_value("#q") == "a village with houses"
    assert page.locator(".chip.for").count() == 1


def test_a_link_into_the_api_comes_back_after_signing_in(open_page, keyed_url: str) -> None:
    page = open_page("search?limit=1", at=keyed_url, settle=False)
    sign_in(page)
    page.wait_for_url(re.compile(r"/search\?limit=1$"))
    assert "FeatureCollection" in page.content()


def test_the_address_to_come_back_to_is_one_of_this_server(open_page, keyed_url: str) -> None:
    page = open_page("#next=https%3A%2F%2Felsewhere.example%2F", at=keyed_url, settle=False)
    sign_in(page)
    page.wait_for_selector(".map-frame[data-ready]")
    assert page.url.startswith(keyed_url)
