"""Ways to ask: a sentence, pictures, the map, more and less like a hit, mixtures."""

import io
import re

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.browser.conftest import ask, cards, chips, settled, still

pytestmark = pytest.mark.browser


def drawn(data: bytes) -> int:
    """How many different colours a picture of the page has."""
    with Image.open(io.BytesIO(data)) as picture:
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


def test_a_sentence_brings_places_on_the_map_and_in_the_grid(open_page, shot) -> None:
    page = open_page()
    page.wait_for_selector(".examples button")
    shot(page, "01-welcome")
    empty = still(page)
    ask(page, "a lake surrounded by fields")
    assert len(cards(page)) >= 9
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 6).every(i => i.complete && i.naturalWidth)"
    )
    full = still(page)
    shot(page, "02-results")
    assert drawn(full) > 200, "the map is blank"
    assert full != empty, "no footprint is drawn"
    assert drawn(page.locator(".card img").first.screenshot()) > 200, "a thumbnail is blank"
    assert re.fullmatch(r"\d+ %|<1 %", page.locator(".card .badge").first.inner_text().rstrip("✓").strip())


def test_examples_of_this_archive_are_offered_and_former_sentences_remembered(open_page) -> None:
    page = open_page()
    page.locator(".examples button").first.click()
    settled(page)
    said = page.input_value("#q")
    page.fill("#q", "zzz")
    assert page.locator("#suggestions").count() == 0, "what has nothing of the words is suggested"
    page.fill("#q", "")
    page.locator("#suggestions").wait_for()
    assert page.locator("#suggestions li").first.inner_text().strip() == said
    assert page.get_by_text("in this archive").count() > 0
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settled(page)
    assert page.input_value("#q") == said


def test_map_and_grid_point_at_each_other(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("z")
    page.wait_for_timeout(900)
    still(page)
    first = cards(page)[0]
    page.mouse.move(5, 5)
    frame = page.locator("[data-testid=map]").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=3)
    page.wait_for_selector(f".card.hovered[data-tile='{first}'], .card.current[data-tile='{first}']")
    page.get_by_role("button", name="Fit the map to the results").click()
    page.wait_for_timeout(900)
    before = still(page)
    page.locator(".card").nth(1).hover()
    assert still(page) != before, "hovering a card changes nothing on the map"
    shot(page, "03-zoomed")


def test_the_map_goes_where_a_new_sentence_is_likely_and_stays_while_it_is_refined(open_page) -> None:
    page = open_page("#map=1.50/20/0")
    before = _camera(page)
    ask(page, "a lake surrounded by fields")
    page.wait_for_timeout(1500)
    found = _camera(page)
    assert float(found.split("/")[0]) > float(before.split("/")[0]) + 2, "the map does not go there"
    page.locator(".card").first.hover()
    page.get_by_role("button", name="More like 1", exact=True).click()
    page.wait_for_selector(".chip.for")
    settled(page)
    page.wait_for_timeout(1000)
    assert _camera(page) == found


def _camera(page) -> str:
    """Zoom, latitude and longitude, as the address says."""
    still(page)
    page.wait_for_function("() => location.hash.includes('map=')")
    page.wait_for_timeout(400)
    return page.evaluate("new URLSearchParams(location.hash.slice(1)).get('map')")


def test_one_after_another_is_taken_as_an_example_by_pointer(open_page) -> None:
    page = open_page()
    ask(page, "a lake surrounded by fields")
    for times in range(1, 4):
        page.locator(".card[aria-posinset='1']").hover()
        page.get_by_role("button", name="More like 1", exact=True).click()
        page.wait_for_function("many => document.querySelectorAll('.chip.for').length === many", arg=times)
        settled(page)


def test_by_keyboard_the_focus_stays_in_the_list_when_a_place_becomes_an_example(open_page) -> None:
    page = open_page("#q=a+lake")
    settled(page)
    page.locator("#q").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "More like 1":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip.for")
    settled(page)
    page.wait_for_function("() => document.activeElement.className === 'face-button'")
    assert page.evaluate("document.activeElement.closest('.card').ariaPosInSet") == "1"


def test_what_is_pointed_at_is_marked_over_the_map_and_no_frame_of_it_is_drawn(open_page) -> None:
    page = open_page()
    ask(page, "a lake surrounded by fields")
    page.wait_for_timeout(1000)
    still(page)
    page.evaluate("""() => {
      window.frames_drawn = 0;
      const seen = new MutationObserver(() => { window.frames_drawn += 1 });
      seen.observe(document.querySelector(".map-frame"), { attributeFilter: ["data-drawn"] });
    }""")
    assert page.locator(".marks > *").count() == 0
    page.locator(".card").nth(1).hover()
    page.wait_for_selector(".marks > *", state="attached")
    page.mouse.move(5, 5)
    page.wait_for_selector(".marks > *", state="detached")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.wait_for_selector(".marks > *", state="attached")
    assert page.evaluate("window.frames_drawn") == 0
    before = page.locator(".marks > *").first.bounding_box()
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(800)
    assert page.locator(".marks > *").first.bounding_box() != before, "the mark does not move with the map"


def test_more_and_less_like_a_hit_with_one_key(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake surrounded by fields")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    before = cards(page)
    page.keyboard.press("j")
    page.keyboard.press("+")
    page.wait_for_selector(".chip.for")
    settled(page)
    page.keyboard.press("j")
    page.keyboard.press("-")
    page.wait_for_selector(".chip.against")
    settled(page)
    assert cards(page) != before
    assert f"tile {before[0]}" in chips(page)
    shot(page, "04-examples")
    page.locator(".chip.against button").click()
    page.wait_for_selector(".chip.against", state="detached")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".chip.against")


def test_weights_and_further_sentences_change_the_order(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake")
    page.get_by_role("button", name="Mix and weights").click()
    page.get_by_label("Another sentence").fill("a village with houses")
    page.get_by_role("button", name="More like this sentence").click()
    page.wait_for_selector(".chip.for")
    settled(page)
    before = cards(page)
    slider = page.get_by_role("slider", name="Weight of “a village with houses”")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.chips').innerText.includes('×')")
    settled(page)
    shot(page, "05-mix")
    assert cards(page) != before
    page.get_by_role("button", name="any one of them").click()
    page.wait_for_function("() => document.querySelector('.chips').innerText.includes('any one')")


def test_commas_part_alternatives_and_a_minus_turns_a_sentence_around(open_page) -> None:
    page = open_page()
    asked: list[dict] = []
    page.on(
        "request", lambda request: asked.append(request.post_data_json) if request.url.endswith("/search") else None
    )
    ask(page, "a lake, a river, -a village")
    semantic = asked[-1]["semantic"]
    assert semantic["positive"] == [{"text": "a lake"}, {"text": "a river"}]
    assert semantic["negative"] == [{"text": "a village"}]
    assert semantic["strategy"] == "best"


def test_a_dropped_picture_is_a_question(open_page, shot, scenes) -> None:
    page = open_page()
    picture = io.BytesIO()
    Image.effect_noise((96, 96), 60).convert("RGB").save(picture, "PNG")
    page.evaluate(
        """data => {
          const file = new File([new Uint8Array(data)], "place.png", { type: "image/png" });
          const carried = new DataTransfer();
          carried.items.add(file);
          const options = { dataTransfer: carried, bubbles: true, cancelable: true };
          for (const name of ["dragover", "drop"]) window.dispatchEvent(new DragEvent(name, options));
        }""",
        list(picture.getvalue()),
    )
    page.wait_for_selector(".chip.for >> text=place.png")
    settled(page)
    assert cards(page)
    shot(page, "06-picture")


def test_a_geotiff_with_bands_finds_its_own_ground(open_page, url: str, tmp_path) -> None:
    page = open_page()
    ask(page, "a lake")
    first = cards(page)[0]
    path = tmp_path / "crop.tif"
    path.write_bytes(page.request.get(f"{url}tiles/{first}/crop.tif").body())
    with rasterio.open(path) as crop:
        assert crop.count >= 3
    page.get_by_role("button", name="Start over").or_(
        page.get_by_role("button", name="Clear the sentence")
    ).first.click()
    page.keyboard.press("Enter")
    page.set_input_files("input[type=file]", path)
    page.wait_for_selector(".chip.for >> text=crop.tif")
    settled(page)
    assert first in cards(page)[:3]


def test_what_is_no_picture_is_refused_in_words(open_page, tmp_path) -> None:
    page = open_page()
    (tmp_path / "letter.txt").write_text("dear archive")
    page.set_input_files("input[type=file]", tmp_path / "letter.txt")
    page.get_by_text("not a PNG, JPEG, WebP or GeoTIFF").wait_for()


def test_a_press_on_the_map_says_what_is_there_and_finds_more(open_page, shot) -> None:
    page = open_page()
    ask(page, "a lake")
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    still(page)
    frame = page.locator("[data-testid=map]").bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    here = page.get_by_label("What is here")
    here.get_by_role("button", name="Find more like this").wait_for()
    here.locator(".words li").first.wait_for()
    still(page)
    shot(page, "07-here")
    here.get_by_role("button", name="Find more like this").click()
    page.wait_for_selector(".chip.for")
    settled(page)
