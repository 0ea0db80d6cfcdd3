"""The atlas in a browser: groups, colours, a lasso, labels, and what stands out."""

import shutil

import pytest

from bandsight.archive import Archive
from bandsight.atlas.atlas import build, save
from bandsight.model import load_for_queries

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def atlas_url(serve, archive, tmp_path_factory) -> str:
    """The address of a server whose archive has an atlas."""
    path = shutil.copytree(archive, tmp_path_factory.mktemp("atlas") / "archive")
    with Archive.open(path) as opened:
        save(opened, build(opened, load_for_queries("embedded", "cpu")))
        opened.labels.create("lakes", {"lake": "a lake"})
    return serve(path)


_PAINTED = """() => {
  const from = document.querySelector(".atlas-frame canvas"), to = document.createElement("canvas");
  [to.width, to.height] = [from.width, from.height];
  const context = to.getContext("2d");
  context.drawImage(from, 0, 0);
  const data = context.getImageData(0, 0, to.width, to.height).data;
  return data.filter((value, at) => at % 4 === 3 && value > 20).length;
}"""


def chosen(page):
    return page.locator(".chosen [role=status]")


def painted(page) -> int:
    """How many pixels of the chart have a point."""
    page.wait_for_timeout(300)
    return page.evaluate(_PAINTED)


def drag(page, points: list[tuple[float, float]]) -> None:
    """Press at the first point of the chart (shares of its sides), move along the others, release."""
    box = page.locator(".atlas-frame canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


AROUND = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.02)]


def test_a_lasso_chooses_tiles_that_become_labels_and_results(open_page, atlas_url: str, shot) -> None:
    page = open_page("#tab=atlas", at=atlas_url)
    page.locator(".atlas-frame canvas").wait_for()
    tiles = int(page.locator(".atlas > p.small").inner_text().split()[0])
    assert painted(page) > 10 * tiles, "the points are not drawn"
    shot(page, "50-atlas")
    page.get_by_role("button", name="Draw around points").click()
    drag(page, AROUND)
    assert chosen(page).inner_text() == f"{tiles} tiles selected"
    page.get_by_label("Class", exact=True).select_option("lake")
    page.get_by_role("button", name="Label", exact=True).click()
    page.get_by_text(f"{tiles} tiles labelled lake").wait_for()
    page.get_by_role("button", name="Clear selection").click()
    assert chosen(page).count() == 0
    page.keyboard.down("Shift")
    drag(page, AROUND)
    page.keyboard.up("Shift")
    page.get_by_role("button", name=f"Star and show {tiles} tiles").click()
    page.locator(".starred-view .card").first.wait_for()
    assert page.locator(".starred-view h2").inner_text().startswith(str(tiles))


def test_points_are_coloured_by_what_is_chosen(open_page, atlas_url: str, shot) -> None:
    page = open_page("#tab=atlas", at=atlas_url)
    page.get_by_role("button", name="Sensor", exact=True).click()
    legend = page.get_by_label("Groups and colours")
    legend.get_by_text("Sentinel-2").first.wait_for()
    page.get_by_role("button", name="Date", exact=True).click()
    page.locator(".ramp-legend").get_by_text("2017").first.wait_for()
    page.get_by_role("button", name="Description", exact=True).click()
    page.get_by_label("Description", exact=True).fill("a lake")
    page.keyboard.press("Enter")
    page.wait_for_function("() => /^-?[0-9.]+$/.test(document.querySelector('.ramp-legend span')?.textContent ?? '')")
    page.get_by_role("button", name="Classes", exact=True).last.click()
    page.get_by_label("Classes, separated by commas").fill("forest, water")
    page.keyboard.press("Enter")
    legend.get_by_text("forest").wait_for()
    shot(page, "51-atlas-classes")
    before = painted(page)
    page.locator(".atlas-frame canvas").hover()
    page.mouse.wheel(0, -1500)
    page.wait_for_timeout(200)
    assert painted(page) != before, "the wheel does not zoom"
    page.get_by_role("button", name="Show all").click()
    assert abs(painted(page) - before) < 0.02 * before


def test_what_stands_out_is_listed_with_pictures(open_page, atlas_url: str, shot) -> None:
    page = open_page("#tab=atlas", at=atlas_url)
    page.get_by_role("button", name="Run review").click()
    page.get_by_text("Over-represented").wait_for()
    page.get_by_text("Near-duplicates").wait_for()
    page.get_by_text("Missing", exact=True).wait_for()
    shot(page, "52-atlas-review")


def test_an_archive_without_an_atlas_says_how_to_make_one(open_page) -> None:
    page = open_page("#tab=atlas", settle=False)
    page.get_by_text("This archive has no atlas yet.").wait_for()
    page.get_by_text("bandsight atlas build").wait_for()
