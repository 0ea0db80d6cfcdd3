"""The page behind a proxy: under a path, under a second name, with a public URL that is not the one in use."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import KEY, search, sign_in, wait_for_map
from tests.proxy import proxied

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def behind_proxy(serve: Callable[..., str], archive: Path) -> Iterator[str]:
    """A server that knows neither its name nor its path, behind a proxy that says nothing about them."""
    own = serve(archive, BANDSIGHT_KEY=KEY, BANDSIGHT_PUBLIC_URL="https://maps.example.org")
    with proxied(own, "/tools/bandsight", forwarded=False) as port:
        yield f"http://maps.localhost:{port}/tools/bandsight/"


def test_the_whole_page_works_under_a_path_and_a_second_name(open_page, behind_proxy: str, shot) -> None:
    page = open_page(at=behind_proxy, settle=False)
    tiles, failed = [], []

    def seen(response) -> None:
        if response.url.endswith(".png") and "/imagery/" in response.url:
            tiles.append(response.url)
        if response.status >= 400:
            failed.append((response.status, response.url))

    sign_in(page)
    page.on("response", seen)
    page.wait_for_selector(".map-frame[data-ready]")
    search(page, "a lake")
    page.wait_for_timeout(1000)
    wait_for_map(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 6).every(i => i.complete && i.naturalWidth)"
    )
    shot(page, "34-proxy")
    assert tiles
    assert all(url.startswith(behind_proxy) for url in tiles)
    assert not failed
    assert page.locator(".map-problem").count() == 0
    (cookie,) = page.context.cookies()
    assert cookie["path"] == "/tools/bandsight"
    page.get_by_role("button", name="Heat map").click()
    page.wait_for_selector(".heat-key")
    wait_for_map(page)
    assert not failed
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to Bandsight").wait_for()
