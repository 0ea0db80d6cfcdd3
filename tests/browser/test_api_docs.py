"""The API's documentation in a browser: from the package alone, within the content policy, also behind the key."""

import json

from tests.browser.conftest import sign_in


def test_an_operation_can_be_tried_on_the_page(open_page, url, shot):
    page = open_page()
    page.get_by_role("button", name="Keyboard shortcuts and help").click()
    page.get_by_role("link", name="API documentation").click()
    requested: list[str] = []
    page.on("request", lambda one: requested.append(one.url))
    page.wait_for_selector(".opblock")
    assert page.locator(".opblock").count() > 30
    shot(page, "api-docs")
    block = page.locator(".opblock", has_text="/export-formats").first
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response-col_description code").first
    answer.wait_for()
    assert "formats" in json.loads(answer.inner_text())
    assert all(one.startswith((url, "data:", "blob:")) for one in requested)


def test_behind_a_key_the_documentation_asks_for_it_first(open_page, keyed_url):
    page = open_page("docs", at=keyed_url, settle=False)
    sign_in(page)
    page.wait_for_selector(".opblock")
    assert page.url.endswith("/docs")
