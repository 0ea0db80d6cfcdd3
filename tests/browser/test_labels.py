"""From examples among the results to a classifier and its layer on the map, as in docs/tutorial-ponds.md."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.browser.conftest import wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


@pytest.fixture
def new_labels(url: str) -> Iterator[str]:
    """The name of a collection that the test makes; it is deleted before and after."""
    name = "lake"
    with httpx2.Client() as http:
        http.delete(f"{url}labels/{name}")
        yield name
        http.delete(f"{url}labels/{name}")


def test_examples_become_labels_and_labels_a_layer_on_the_map(open_page, url: str, shot, new_labels: str) -> None:
    page = open_page("#q=a+lake&group=tile")
    wait_for_results(page)
    for rank, name in ((1, "More like result 1"), (2, "More like result 2")):
        page.locator(f".card[aria-posinset='{rank}']").hover()
        page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("button", name="Use as labels").click()
    page.get_by_text("Your examples become the first labels: 2 positive, 0 negative.").wait_for()
    page.get_by_role("button", name="Start labelling").click()
    page.get_by_role("heading", name="Does this tile show a lake?").wait_for()
    counts = page.locator(".label-counts")
    counts.get_by_text("lake 2").wait_for()
    shot(page, "35-queue")
    # Yes, no, skip and undo, each by its key.
    seen = []
    for key, text in (
        ("a", "lake 3"),
        ("r", "negative 1"),
        ("s", "skipped 1"),
        ("u", "skipped 0"),
        ("r", "negative 2"),
    ):
        seen.append(page.locator(".queue img").first.get_attribute("src"))
        page.keyboard.press(key)
        counts.get_by_text(text).wait_for()
    assert seen[0] != seen[1] != seen[2]
    assert seen[4] == seen[2], "undo does not bring the tile back"
    for at in range(3, 9):
        page.get_by_role("button", name="No r").click()
        counts.get_by_text(f"negative {at}", exact=True).wait_for()
    page.get_by_role("button", name="Train", exact=True).click()
    panel = page.get_by_label("Classifier", exact=True)
    panel.get_by_text("Version 1").wait_for()
    panel.get_by_text("Share of the archive").wait_for()
    with page.expect_response(lambda answer: "/heatmap/" in answer.url and "colormap=viridis" in answer.url) as tile:
        panel.get_by_role("button", name="Show on the map").click()
    assert tile.value.ok
    wait_for_map(page)
    shown = page.locator("[data-testid=map]").screenshot()
    slider = page.get_by_role("slider", name="Opacity of the layer")
    slider.focus()
    slider.press("Home")
    wait_for_map(page)
    assert page.locator("[data-testid=map]").screenshot() != shown
    slider.press("End")
    shot(page, "36-layer")
    panel.get_by_role("button", name="List the best tiles").click()
    wait_for_results(page)
    assert page.input_value("#q") == "classifier:lake@1"
    held = page.request.get(f"{url}labels/{new_labels}").json()
    assert held["counts"] == {"lake": 3, "none": 8}


def test_a_label_that_cannot_be_saved_comes_back_to_the_queue(open_page, url: str, new_labels: str) -> None:
    page = open_page("#q=a+lake&tab=labels")
    page.get_by_role("button", name="Start labelling").click()
    page.get_by_role("heading", name="Does this tile show a lake?").wait_for()
    first = page.locator(".queue img").first.get_attribute("src")
    page.route("**/labels/*/items", lambda route: route.fulfill(status=503, json={"detail": "the disk is full"}))
    page.keyboard.press("a")
    page.get_by_text("the disk is full").wait_for()
    page.wait_for_function("first => document.querySelector('.queue img').getAttribute('src') === first", arg=first)
    page.unroute("**/labels/*/items")
    page.keyboard.press("a")
    page.locator(".label-counts").get_by_text("lake 1").wait_for()


def test_the_labels_are_downloaded_and_the_collection_is_deleted(
    open_page, url: str, tmp_path: Path, new_labels: str
) -> None:
    page = open_page("#q=a+lake&tab=labels")
    page.get_by_role("button", name="Start labelling").click()
    page.get_by_role("heading", name="Does this tile show a lake?").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(".label-counts").get_by_text("lake 1").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the labels as GeoJSON").click()
    download.value.save_as(tmp_path / "labels.geojson")
    assert len(json.loads((tmp_path / "labels.geojson").read_text())["features"]) == 1
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete lake").click()
    page.get_by_text("lake deleted").wait_for()
    assert all(one["name"] != "lake" for one in page.request.get(f"{url}labels").json()["collections"])
