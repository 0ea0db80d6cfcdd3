"""Listing without ranking, compared with a simple implementation in Python."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter, Property
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.search.listing import Key, Position, browse
from bandsight.search.ranking import nearest
from tests.archive.makers import entry, filled

SCENES, TILES = 12, 4
Row = tuple[Tile | None, Scene]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with filled(tmp_path_factory.mktemp("browse"), SCENES, TILES) as archive:
        yield archive


def everything(archive: Archive) -> list[Row]:
    scenes = archive.scenes()
    ids = range(1, SCENES * TILES + 1)
    tiles = [archive.tile(tile_id) for tile_id in ids]
    by_id = {scene.id: scene for scene in scenes}
    return [(tile, by_id[tile.scene_id]) for tile in tiles] + [(None, scene) for scene in scenes]


def name(row: Row) -> tuple[str, int]:
    tile, scene = row
    return ("scene", scene.id) if tile is None else ("tile", tile.id)


def walk(archive: Archive, k: int, **asked: object) -> list[Row]:
    rows: list[Row] = []
    after: Position | None = None
    while True:
        page = browse(archive, k, after=after, **asked)
        assert len(page.rows) == (k if page.next else len(page.rows))
        rows += page.rows
        if page.next is None:
            assert len(rows) == page.matched
            return rows
        after = page.next


def slowly(rows: list[Row], order: list[Key]) -> list[Row]:
    """Sorts stably from the last key to the first."""
    for key in reversed(order):

        def value(row: Row, key: Key = key) -> object:
            tile, scene = row
            match key.name:
                case "id":
                    return tile.id if tile else scene.id
                case "datetime":
                    return scene.datetime
                case "collection":
                    return scene.collection
                case "gsd":
                    return scene.gsd_m
                case _:
                    return scene.properties.get(key.name)

        there = [row for row in rows if value(row) is not None]
        lacking = [row for row in rows if value(row) is None]
        numbers = [row for row in there if not isinstance(value(row), str)]
        texts = [row for row in there if isinstance(value(row), str)]
        parts = [texts, numbers] if key.descending else [numbers, texts]
        rows = [row for part in parts for row in sorted(part, key=value, reverse=key.descending)]
        if key.descending:
            # sorted keeps equal ones in their order also when reversed.
            assert len(rows) == len(there)
        rows += lacking
    return rows


KEYS = st.lists(
    st.builds(
        Key,
        name=st.sampled_from(["id", "datetime", "collection", "gsd", "eo:cloud_cover", "platform", "view:off_nadir"]),
        descending=st.booleans(),
    ),
    max_size=3,
)


@given(order=KEYS, k=st.integers(1, 70))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_in_any_order_concatenate_to_the_sorted_list(archive: Archive, order: list[Key], k: int) -> None:
    expected = slowly(everything(archive), order)
    got = walk(archive, k, tiles=Filter(), scenes=Filter(), order=order)
    assert [name(row) for row in got] == [name(row) for row in expected]


def test_tiles_or_scenes_alone_are_listed_by_id(archive: Archive) -> None:
    assert [name(row)[1] for row in walk(archive, 7, tiles=Filter())] == list(range(1, SCENES * TILES + 1))
    assert [name(row) for row in walk(archive, 5, scenes=Filter())] == [("scene", n) for n in range(1, SCENES + 1)]
    assert browse(archive, 5).matched == 0


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(collections=("red",)),
        Filter(properties=(Property(name="platform", op="=", value="sat-a"),)),
        ~Filter(properties=(Property(name="eo:cloud_cover", op=">", value=30),)),
        Filter(boxes=(LonLatBox(west=-60, south=-90, east=60, north=90),)),
        Filter(boxes=(LonLatBox(west=179.6, south=-90, east=180, north=90),)),
        Filter(
            area=Area.from_geojson({"type": "Polygon", "coordinates": [[[-90, -60], [90, -60], [0, 60], [-90, -60]]]})
        ),
        Filter(scenes=(2, 5)),
    ],
)
def test_a_filter_means_the_same_for_tiles_and_scenes(archive: Archive, wanted: Filter) -> None:
    found = {name(row) for row in walk(archive, 9, tiles=wanted, scenes=wanted)}
    assert found
    if wanted.boxes or wanted.area:
        meets = wanted.area or Area.from_geojson(
            {
                "type": "MultiPolygon",
                "coordinates": [
                    [[[b.west, b.south], [b.east, b.south], [b.east, b.north], [b.west, b.north], [b.west, b.south]]]
                    for b in wanted.boxes
                ],
            }
        )
        expected = {name(row) for row in everything(archive) if meets.geometry.intersects(shape_of(row))}
    else:
        scenes = {scene for kind, scene in found if kind == "scene"}
        expected = {name(row) for row in everything(archive) if row[1].id in scenes}
        ranked = nearest(archive, archive.vectors([1]), 1000, wanted)[0]
        assert {hit.tile.id for hit in ranked} == {tile for kind, tile in found if kind == "tile"}
    assert found == expected


def shape_of(row: Row) -> object:
    from shapely.geometry import shape

    tile, scene = row
    return shape(scene.geometry if tile is None else tile.geometry)


def test_negating_an_exclusion_selects_one_tile(archive: Archive) -> None:
    assert [name(row) for row in walk(archive, 5, tiles=~Filter(exclude=(7, 3)))] == [("tile", 3), ("tile", 7)]
    assert [name(row) for row in walk(archive, 5, scenes=~Filter(exclude=(7,)))] == [("scene", 7)]


@pytest.mark.parametrize("order", [[], [Key(name="eo:cloud_cover", descending=True)], [Key(name="datetime")]])
def test_paging_during_writes_returns_each_row_of_the_first_state_once(tmp_path: Path, order: list[Key]) -> None:
    with filled(tmp_path / "a", 8) as writer, Archive.open(tmp_path / "a") as reader:
        before = {name(row) for row in walk(reader, 100, tiles=Filter(), scenes=Filter(), order=order)}
        got: list[Row] = []
        after, replaced, number = None, set(), 100
        while True:
            page = browse(reader, 5, Filter(), Filter(), order, after=after)
            got += page.rows
            if page.next is None:
                break
            after = page.next
            writer.add([entry(number)])
            if number % 3 == 0:
                old = number % 8
                replaced |= {row for row in before if row == ("scene", old + 1)}
                replaced |= {("tile", old * 4 + n) for n in range(1, 5)}
                writer.add([entry(old, version=number)])
            number += 1
        names = [name(row) for row in got]
        assert len(names) == len(set(names))
        assert before - replaced <= set(names) <= before
        assert replaced


def test_bad_pages_and_keys_are_errors(archive: Archive) -> None:
    with pytest.raises(QueryError, match="k: found 0"):
        browse(archive, 0)
    with pytest.raises(QueryError, match=r"property nothing:.*available: eo:cloud_cover"):
        browse(archive, 1, Filter(), order=[Key(name="nothing")])
    with pytest.raises(QueryError, match="property nothing"):
        browse(archive, 1, None, Filter(properties=(Property(name="nothing", op="=", value=1),)))
