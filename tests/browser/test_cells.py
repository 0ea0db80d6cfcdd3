"""Cells of a tile: the page ranks by the best one and outlines it within its tile."""

from pathlib import Path

import pytest

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from indexer.pipeline import index
from indexer.tiling import Tiling
from tests.browser.conftest import search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url_with_cells(scenes: Path, serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    from bandsight.model import load_model

    path = tmp_path_factory.mktemp("cells") / "archive"
    model = load_model("embedded", "cpu")
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    tiling = Tiling.of_model(model, cells=4, scales=(1,))
    with ArchiveWriter.create(path, identity) as opened:
        index([scenes / "S1A_IW_GRDH_20170301.tif"], archive=opened, model=model, tiling=tiling)
    return serve(path)


def test_results_are_ranked_by_their_best_cell_which_is_outlined(open_page, shot, url_with_cells) -> None:
    page = open_page(at=url_with_cells)
    sent: list[dict] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/search") else None)
    search(page, "a lake")
    assert "by_cell" not in sent[-1]["semantic"]
    page.locator(".card .face-button").first.click()
    page.wait_for_selector(".highlights path", state="attached")
    assert page.locator(".highlights path").count() == 2
    page.get_by_role("button", name="Results", exact=True).click()
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("group", name="Rank by").get_by_role("button", name="best part of the tile").click()
    page.keyboard.press("Escape")
    page.wait_for_function("() => location.hash.includes('cells=1')")
    wait_for_results(page)
    assert sent[-1]["semantic"]["by_cell"] is True
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(1200)
    wait_for_map(page)
    outlines = page.locator(".highlights path")
    assert outlines.count() == 4
    tile, cell = outlines.nth(0).bounding_box(), outlines.nth(3).bounding_box()
    assert 0.15 < cell["width"] / tile["width"] < 0.35
    assert tile["x"] - 4 <= cell["x"] <= tile["x"] + tile["width"]
    shot(page, "cells")


def test_an_archive_without_cells_does_not_offer_this_order(open_page) -> None:
    page = open_page()
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("group", name="One result per").wait_for()
    assert page.get_by_role("group", name="Rank by").count() == 0
