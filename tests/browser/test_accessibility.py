"""Accessibility and performance: keyboard, screen readers, dark theme, phones, ten thousand results."""

from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.browser import many_results
from tests.browser.conftest import ROOT, cards, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"


def test_frequent_actions_have_keys(open_page, shot) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    shot(page, "20-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert int(page.locator(".card.current").get_attribute("data-tile")) == cards(page)[0]
    page.keyboard.press("Enter")
    page.locator(".detail").wait_for()
    page.keyboard.press("j")
    page.wait_for_function(f"() => document.querySelector('.detail')?.ariaLabel === 'Tile {cards(page)[1]}'")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.wait_for_selector(".tool.star.on")
    page.keyboard.press("c")
    page.get_by_label("Compare two tiles").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("jk+")
    assert page.input_value("#q") == "jk+"


def test_tab_starts_at_the_search_box_and_reaches_the_results(open_page) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "face-button":
            break
    else:
        raise AssertionError("no result is reached")
    assert page.evaluate("document.activeElement === document.querySelector('.card .face-button')")
    assert page.evaluate("document.activeElement.textContent").startswith("Result 1,")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "state",
    [
        "",
        "q=a+lake",
        "q=a+lake&ex=%2Bt%3A1&layout=table",
        "q=a+lake&tile=1",
        "tab=labels",
        "tab=classes",
        "tab=change",
        "q=a+lake&tab=alerts",
        "tab=archive",
        "q=a+lake&compare=1~2",
    ],
)
def test_axe_finds_nothing_serious(open_page, state: str, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci in web/")
    page = open_page(f"#{state}", color_scheme=scheme, bypass_csp=True)
    page.wait_for_timeout(1500)
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    bad = [
        (
            one["id"],
            one["help"],
            [node["html"][:120] + " | " + node["failureSummary"][:200] for node in one["nodes"][:3]],
        )
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert not bad, bad


def test_the_theme_follows_the_system_and_can_be_changed(open_page, shot) -> None:
    page = open_page("#q=a+lake", color_scheme="dark")
    wait_for_results(page)
    wait_for_map(page)
    dark = page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor")
    shot(page, "21-dark")
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor") != dark
    page.reload()
    page.wait_for_selector(".app")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_phone_stacks_map_and_results(open_page, shot) -> None:
    page = open_page("#q=a+lake", width=390, height=844, has_touch=True, is_mobile=True)
    wait_for_results(page)
    wait_for_map(page)
    shot(page, "22-phone")
    frame, panel = page.locator(".map").bounding_box(), page.locator(".panel").bounding_box()
    assert frame["width"] == panel["width"] == 390
    assert panel["y"] >= frame["y"] + frame["height"] - 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"
    page.mouse.move(200, 700)
    page.mouse.wheel(0, 2500)
    page.wait_for_timeout(700)
    tops = page.eval_on_selector_all(".card", "all => all.map(one => one.getBoundingClientRect().top)")
    seen = sum(0 < top < 844 for top in tops)
    assert seen >= 2, "the grid is empty where it was scrolled to"
    page.mouse.wheel(0, -9000)
    page.locator(".card .face-button").first.tap()
    page.locator(".detail").wait_for()
    shot(page, "23-phone-detail")


def test_ten_thousand_results_render_few_cards(open_page, shot) -> None:
    page = open_page()
    page.route("**/search", many_results.respond)
    page.goto(page.url.split("#")[0] + "#q=anything&n=10000")
    page.wait_for_function("() => document.querySelector('.results-head h2 b')?.textContent === '10,000'")
    wait_for_results(page)
    wait_for_map(page)
    shot(page, "24-many")
    assert page.locator(".card").count() < 80, "cards outside the view are rendered"
    page.locator(".results .scroller").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    page.wait_for_selector(".card[aria-posinset='10000']")


def test_results_appear_before_their_thumbnails(open_page) -> None:
    page = open_page()
    held = []
    page.route("**/thumbnail.png*", lambda route: held.append(route))
    search(page, "a lake")
    assert page.locator(".card .badge").count() > 3
    assert page.locator(".card .picture.seen").count() == 0
    for route in held:
        route.continue_()
    page.unroute("**/thumbnail.png*")
    page.wait_for_selector(".card .picture.seen")


def test_the_page_loads_from_its_server_only_and_is_small(open_page, url: str) -> None:
    page = open_page(settle=False)
    loaded: set[str] = set()

    def keep(request) -> None:
        assert request.url.startswith((url, "data:", "blob:")), request.url
        if "/static/" in request.url:
            loaded.add(request.url)

    page.on("request", keep)
    page.reload()
    page.wait_for_selector(".map-frame[data-drawn=true]")
    assert {Path(one).suffix for one in loaded} >= {".js", ".css", ".json"}
    total = 0
    for one in loaded | {url}:
        request = Request(one, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})  # noqa: S310
        with urlopen(request) as answer:  # noqa: S310
            total += len(answer.read())
    assert 400_000 < total < 750_000, "download size of the page"
