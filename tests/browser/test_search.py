"""Ways to search: a description, images, the map, more and less like a result, combinations."""

import io
import re

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.browser.conftest import cards, chips, search, wait_for_map, wait_for_results

pytestmark = pytest.mark.browser


def colours(data: bytes) -> int:
    """Count the different colours of a screenshot."""
    with Image.open(io.BytesIO(data)) as picture:
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


def test_a_description_shows_results_on_the_map_and_in_the_grid(open_page, shot) -> None:
    page = open_page()
    page.wait_for_selector(".examples button")
    shot(page, "01-welcome")
    empty = wait_for_map(page)
    search(page, "a lake surrounded by fields")
    assert len(cards(page)) >= 9
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 6).every(i => i.complete && i.naturalWidth)"
    )
    full = wait_for_map(page)
    shot(page, "02-results")
    assert colours(full) > 200, "the map is blank"
    assert full != empty, "no footprint is drawn"
    assert colours(page.locator(".card img").first.screenshot()) > 200, "a thumbnail is blank"
    assert re.fullmatch(r"[<>]?\d+%", page.locator(".card .badge").first.inner_text().rstrip("✓").strip())


def test_recent_and_suggested_searches_are_listed(open_page) -> None:
    page = open_page()
    page.locator(".examples button").first.click()
    wait_for_results(page)
    searched = page.input_value("#q")
    page.fill("#q", "zzz")
    assert page.locator("#suggestions").count() == 0, "a suggestion has none of the typed words"
    page.fill("#q", "")
    page.locator("#suggestions").wait_for()
    assert page.locator("#suggestions li").first.inner_text().strip() == searched
    assert page.get_by_text("suggested", exact=True).count() > 0
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_results(page)
    assert page.input_value("#q") == searched


def test_hovering_highlights_in_the_map_and_in_the_grid(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("z")
    page.wait_for_timeout(900)
    wait_for_map(page)
    first = cards(page)[0]
    page.mouse.move(5, 5)
    frame = page.locator("[data-testid=map]").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=3)
    page.wait_for_selector(f".card.hovered[data-tile='{first}'], .card.current[data-tile='{first}']")
    page.get_by_role("button", name="Zoom to all results").click()
    page.wait_for_timeout(900)
    before = wait_for_map(page)
    page.locator(".card").nth(1).hover()
    assert wait_for_map(page) != before, "hovering a card changes nothing on the map"
    shot(page, "03-zoomed")


def test_the_map_moves_to_new_results_and_stays_while_a_search_is_refined(open_page) -> None:
    page = open_page("#map=1.50/20/0")
    before = _camera(page)
    search(page, "a lake surrounded by fields")
    page.wait_for_timeout(1500)
    found = _camera(page)
    assert float(found.split("/")[0]) > float(before.split("/")[0]) + 2, "the map does not move to the results"
    page.locator(".card").first.hover()
    page.get_by_role("button", name="More like result 1", exact=True).click()
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
    page.wait_for_timeout(1000)
    assert _camera(page) == found


def _camera(page) -> str:
    """Return zoom, latitude and longitude from the URL."""
    wait_for_map(page)
    page.wait_for_function("() => location.hash.includes('map=')")
    page.wait_for_timeout(400)
    return page.evaluate("new URLSearchParams(location.hash.slice(1)).get('map')")


def test_results_become_examples_one_after_another(open_page) -> None:
    page = open_page()
    search(page, "a lake surrounded by fields")
    for times in range(1, 4):
        page.locator(".card[aria-posinset='1']").hover()
        page.get_by_role("button", name="More like result 1", exact=True).click()
        page.wait_for_function("many => document.querySelectorAll('.chip.for').length === many", arg=times)
        wait_for_results(page)


def test_with_the_keyboard_the_focus_stays_in_the_list_when_a_result_becomes_an_example(open_page) -> None:
    page = open_page("#q=a+lake")
    wait_for_results(page)
    page.locator("#q").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "More like result 1":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
    page.wait_for_function("() => document.activeElement.className === 'face-button'")
    assert page.evaluate("document.activeElement.closest('.card').ariaPosInSet") == "1"


def test_a_highlight_is_drawn_over_the_map_without_a_new_map_frame(open_page) -> None:
    page = open_page()
    search(page, "a lake surrounded by fields")
    page.wait_for_timeout(1000)
    wait_for_map(page)
    page.evaluate("""() => {
      window.frames_drawn = 0;
      const seen = new MutationObserver(() => { window.frames_drawn += 1 });
      seen.observe(document.querySelector(".map-frame"), { attributeFilter: ["data-drawn"] });
    }""")
    assert page.locator(".highlights > *").count() == 0
    page.locator(".card").nth(1).hover()
    page.wait_for_selector(".highlights > *", state="attached")
    page.mouse.move(5, 5)
    page.wait_for_selector(".highlights > *", state="detached")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.wait_for_selector(".highlights > *", state="attached")
    assert page.evaluate("window.frames_drawn") == 0
    before = page.locator(".highlights > *").first.bounding_box()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(800)
    assert page.locator(".highlights > *").first.bounding_box() != before, "the highlight does not move with the map"


def test_keys_add_positive_and_negative_examples(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake surrounded by fields")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    before = cards(page)
    page.keyboard.press("j")
    page.keyboard.press("+")
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
    page.keyboard.press("j")
    page.keyboard.press("-")
    page.wait_for_selector(".chip.against")
    wait_for_results(page)
    assert cards(page) != before
    assert f"tile {before[0]}" in chips(page)
    shot(page, "04-examples")
    page.locator(".chip.against .bare").click()
    page.wait_for_selector(".chip.against", state="detached")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".chip.against")


def test_weights_and_added_descriptions_change_the_order(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake")
    page.get_by_role("button", name="Examples and weights").click()
    page.get_by_label("Add a description").fill("a village with houses")
    page.get_by_role("button", name="More like this description").click()
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
    before = cards(page)
    slider = page.get_by_role("slider", name="Weight of “a village with houses”")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.tray').innerText.includes('×')")
    wait_for_results(page)
    shot(page, "05-mix")
    assert cards(page) != before
    page.get_by_role("group", name="Combine").get_by_role("button", name="any").click()
    page.locator(".tray").get_by_text("Results match any one of these.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Use the average").click()
    page.locator(".tray").get_by_text("Results are ranked by the average of these.").wait_for()


def test_commas_separate_alternatives_and_a_minus_excludes(open_page) -> None:
    page = open_page()
    sent: list[dict] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/search") else None)
    search(page, "a lake, a river, -a village")
    semantic = sent[-1]["semantic"]
    assert semantic["positive"] == [{"text": "a lake"}, {"text": "a river"}]
    assert semantic["negative"] == [{"text": "a village"}]
    assert semantic["strategy"] == "best"


@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("lake -forest", ["lake"], ["forest"]),
        ("lake -pine forest, river -town", ["lake", "river"], ["pine forest", "town"]),
        ('lake -"pine forest" in winter', ["lake in winter"], ["pine forest"]),
        ("“a lake, frozen” -“a town”", ["a lake, frozen"], ["a town"]),
        ("- a village, a lake", ["a lake"], ["a village"]),
        ("well-known peak - 2018", ["well-known peak - 2018"], []),
    ],
)
def test_a_minus_excludes_without_a_comma(open_page, text: str, positive: list[str], negative: list[str]) -> None:
    page = open_page(settle=False)
    page.fill("#q", text)
    with page.expect_request(lambda request: request.url.endswith("/search")) as sent:
        page.keyboard.press("Enter")
    semantic = sent.value.post_data_json["semantic"]
    found = [semantic["text"]] if "text" in semantic else [one["text"] for one in semantic["positive"]]
    assert found == positive
    assert [one["text"] for one in semantic.get("negative", [])] == negative
    if negative:
        page.locator(".chip.words.not").first.wait_for()
        shown = [one.strip() for one in page.locator(".chip.words.not").all_inner_texts()]
        assert shown == [f"\N{MINUS SIGN} “{one}”" for one in negative]


def test_an_excluded_term_is_shown_and_can_be_removed(open_page) -> None:
    page = open_page()
    search(page, "a lake -forest -town")
    page.get_by_role("button", name="Remove not “forest”").click()
    page.locator(".chip.words.not >> text=forest").wait_for(state="detached")
    assert page.input_value("#q") == "a lake, -town"
    wait_for_results(page)


def drop(page, data: bytes) -> None:
    """Drop an image on the page."""
    page.evaluate(
        """data => {
          const file = new File([new Uint8Array(data)], "place.png", { type: "image/png" });
          const transfer = new DataTransfer();
          transfer.items.add(file);
          const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
          for (const name of ["dragover", "drop"]) window.dispatchEvent(new DragEvent(name, options));
        }""",
        list(data),
    )
    page.wait_for_selector(".chip.for >> text=place.png")


@pytest.fixture(scope="module")
def noise() -> bytes:
    image = io.BytesIO()
    Image.effect_noise((96, 96), 60).convert("RGB").save(image, "PNG")
    return image.getvalue()


def test_a_dropped_image_starts_a_search(open_page, shot, noise: bytes) -> None:
    page = open_page()
    drop(page, noise)
    wait_for_results(page)
    assert cards(page)
    assert "Results match" not in chips(page)
    shot(page, "06-picture")


def test_two_images_of_one_name_and_size_are_two_examples(open_page) -> None:
    page = open_page()
    for grey in (40, 200):
        image = io.BytesIO()
        Image.new("RGB", (64, 64), (grey, grey, grey)).save(image, "PNG", compress_level=0)
        drop(page, image.getvalue())
        wait_for_results(page)
    assert page.locator(".chip.for >> text=place.png").count() == 2


def test_the_map_moves_close_enough_to_see_the_best_result_and_the_header_never_counts_none(open_page) -> None:
    page = open_page()
    search(page, "a lake")
    page.wait_for_function("() => +(/map=([0-9.]+)/.exec(location.hash)?.[1] ?? 0) > 10")
    assert " 0 likely" not in page.locator(".results-head").inner_text()


def test_an_image_beside_a_description_says_how_they_are_combined(open_page, shot, noise: bytes) -> None:
    page = open_page()
    search(page, "a lake -town")
    drop(page, noise)
    page.get_by_role("status").get_by_text("Added. Results are now ranked by the average of these.").wait_for()
    assert "+ “a lake”" in chips(page)
    assert "Results are ranked by the average of these." in chips(page)
    wait_for_results(page)
    shot(page, "06-picture-and-text")
    page.get_by_role("button", name="Match any one").click()
    page.locator(".tray").get_by_text("Results match any one of these.").wait_for()
    page.get_by_role("button", name="Remove “a lake”").click()
    page.locator(".combination").wait_for(state="detached")
    assert page.input_value("#q") == "-town"
    wait_for_results(page)


def test_a_multiband_geotiff_finds_its_own_tile(open_page, url: str, tmp_path) -> None:
    page = open_page()
    search(page, "a lake")
    path = tmp_path / "crop.tif"
    for first in cards(page):
        path.write_bytes(page.request.get(f"{url}tiles/{first}/crop.tif").body())
        with rasterio.open(path) as crop:
            if crop.count >= 3:
                break
    else:
        pytest.fail("no result has three bands")
    page.get_by_role("button", name="Start over").or_(
        page.get_by_role("button", name="Clear the description")
    ).first.click()
    page.keyboard.press("Enter")
    page.set_input_files("input[type=file]", path)
    page.wait_for_selector(".chip.for >> text=crop.tif")
    wait_for_results(page)
    assert cards(page)[0] == first


def test_a_file_that_is_not_an_image_is_refused_with_a_message(open_page, tmp_path) -> None:
    page = open_page()
    (tmp_path / "letter.txt").write_text("dear archive")
    page.set_input_files("input[type=file]", tmp_path / "letter.txt")
    page.get_by_text("not a PNG, JPEG, WebP or GeoTIFF").wait_for()


def test_a_click_on_the_map_shows_what_is_there_and_finds_more(open_page, shot) -> None:
    page = open_page()
    search(page, "a lake")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    wait_for_map(page)
    frame = page.locator("[data-testid=map]").bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    here = page.get_by_label("What is here")
    here.get_by_role("button", name="Find more like this").wait_for()
    here.locator(".words li").first.wait_for()
    wait_for_map(page)
    shot(page, "07-here")
    here.get_by_role("button", name="Find more like this").click()
    page.wait_for_selector(".chip.for")
    wait_for_results(page)
