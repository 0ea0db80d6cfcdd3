"""A first visit: search by text, refine with examples, draw an area, export GeoJSON."""

import json

import pytest

from tests.browser.conftest import begin_box, cards, chips, search, sign_in, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("server", ["url", "keyed_url"])
def test_search_refine_filter_and_export(open_page, shot, tmp_path, request, server: str) -> None:
    page = open_page(at=request.getfixturevalue(server), settle=False)
    if server == "keyed_url":
        sign_in(page)
    page.wait_for_selector(".map-frame[data-ready]")
    page.wait_for_selector(".examples button")
    wait_for_map(page)
    shot(page, "walk-1-welcome")
    search(page, "farmland divided into fields")
    wait_for_map(page)
    shot(page, "walk-2-search")
    chosen = []
    for place, name in ((1, "More like result 1"), (2, "More like result 2"), (3, "Less like result 3")):
        card = page.locator(f".card[aria-posinset='{place}']")
        chosen.append(int(card.get_attribute("data-tile")))
        card.hover()
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function(
            "many => document.querySelectorAll('.chip.for, .chip.against').length === many", arg=len(chosen)
        )
        wait_for_results(page)
    wait_for_map(page)
    shot(page, "walk-3-refine")
    assert page.locator(".chip.for").count() == 2
    assert page.locator(".chip.against").count() == 1
    assert all(f"tile {tile}" in chips(page) for tile in chosen)
    x, y = begin_box(page)
    page.mouse.move(x - 170, y - 170)
    page.mouse.down()
    page.mouse.move(x, y, steps=4)
    page.mouse.move(x + 170, y + 170, steps=4)
    page.mouse.up()
    page.wait_for_selector(".chip >> text=Area")
    wait_for_results(page)
    wait_for_map(page)
    shot(page, "walk-4-area")
    tiles = cards(page)
    page.get_by_role("button", name="Export").click()
    shot(page, "walk-5-export")
    with page.expect_download() as download:
        page.get_by_role("button", name="GeoJSON", exact=True).click()
    download.value.save_as(tmp_path / "found.geojson")
    found = json.loads((tmp_path / "found.geojson").read_text())
    exported = [int(item["id"]) for item in found["features"]]
    assert [tile for tile in exported if tile in tiles] == tiles, "places are in the order of their best tiles"
    assert not {int(item["id"]) for item in found["features"]} & set(chosen)
