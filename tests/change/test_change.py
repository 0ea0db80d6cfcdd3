import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from rasterio.io import MemoryFile

from bandsight import connect
from bandsight.archive import Archive, ArchiveWriter
from bandsight.change.heatmap import ChangeCache, change_map
from bandsight.change.requests import ChangeBody, ChangeMapBody, TimelineBody
from bandsight.change.search import change_search
from bandsight.change.timeline import timeline
from bandsight.cli import loading
from bandsight.client.client import Client
from bandsight.client.local import LocalBackend
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.search.searcher import Searcher
from tests.archive.makers import DIM, MODEL, polygon, scene, tiles
from tests.commands import run_command
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of, served

FOREST, BARE = "a forest", "bare ground"
YEARS = (2008, 2009, 2010, 2011, 2012, 2018, 2019)
CHANGED = (7, 30, 61)
COUNT = 100
SEASON = 180


def box(place: int, shift: float = 0.0) -> LonLatBox:
    west, south = 10 + place % 10 + shift, 40 + place // 10
    return LonLatBox(west=west, south=south, east=west + 0.5, north=south + 0.5)


def entry(number: int, year: int, *, shift: float = 0.0, clouds: tuple[int, ...] = (), prefix: str = "cell"):
    """A scene of all places: forest, until the changed ones are cleared in 2018; dates differ as a whole, too."""
    rng = np.random.default_rng(number)
    forest, bare = FakeEmbedder().embed_texts([FOREST, BARE])
    haze = rng.normal(size=DIM) * 0.3
    rows, made = [], []
    for place, tile in enumerate(tiles(number, COUNT)):
        cleared = place in CHANGED and year >= 2018
        row = (bare if cleared else forest) + haze + rng.normal(size=DIM) * 0.04
        if place in clouds:
            row = bare + rng.normal(size=DIM)
        rows.append(row / np.linalg.norm(row))
        own = box(place, shift)
        made.append(
            replace(
                tile,
                cell=f"{prefix}/{place}",
                geometry=polygon((own,)),
                boxes=(own,),
                cloud_fraction=0.9 if place in clouds else None,
            )
        )
    whole = LonLatBox(west=9, south=39, east=21, north=51)
    record = replace(
        scene(number),
        datetime=datetime(year, 6, 1, tzinfo=UTC),
        start_datetime=None,
        end_datetime=None,
        geometry=polygon((whole,)),
        boxes=(whole,),
    )
    return record, made, np.stack(rows).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("change") / "archive"
    with ArchiveWriter.create(folder, MODEL) as writer:
        for number, year in enumerate(YEARS):
            # Every other date lies a hundredth of a tile further east, under other names of cells.
            shift, prefix = (0.005, "moved") if number % 2 else (0.0, "cell")
            clouds = (3, 4, 5) if year == 2019 else ()
            writer.add([entry(number, year, shift=shift, clouds=clouds, prefix=prefix)])
    return folder


@pytest.fixture
def searcher(path):
    with Archive.open(path) as archive:
        yield Searcher(archive, FakeEmbedder())


BODY = {"before": "2008-01-01/2012-12-31", "after": "2018-01-01/..", "was": FOREST, "now": BARE}


def places_of(searcher, found):
    return [int(searcher.archive.tile(one["id"]).cell.partition("/")[2]) for one in found["features"]]


def test_places_that_changed_come_first_and_no_others_are_reported(searcher):
    found = change_search(searcher, ChangeBody(**BODY, min_z=6))
    assert set(places_of(searcher, found)) == set(CHANGED)
    assert found["changed"] >= 3
    assert found["compared"] == found["places"]
    own = found["features"][0]["properties"]
    assert (own["first_seen"], own["last_seen_before"]) == ("2018-06-01T00:00:00Z", "2012-06-01T00:00:00Z")
    assert (own["dates_before"], own["dates_after"]) == (5, 2)
    assert searcher.archive.scene(searcher.archive.tile(own["tile_before"]).scene_id).datetime.year < 2013


def test_the_other_direction_finds_nothing(searcher):
    found = change_search(searcher, ChangeBody(**(BODY | {"was": BARE, "now": FOREST}), min_z=6))
    assert found["features"] == []


def test_clouds_are_left_out(searcher):
    cloudy = change_search(searcher, ChangeBody(**BODY, max_cloud=1.0, min_z=4))
    clear = change_search(searcher, ChangeBody(**BODY, min_z=4))
    assert set(places_of(searcher, clear)) == set(CHANGED)
    assert cloudy["compared"] >= clear["compared"]


def test_a_change_like_another_is_found(searcher):
    archive = searcher.archive
    first = change_search(searcher, ChangeBody(**BODY, limit=1))["features"][0]["properties"]
    body = {"before": BODY["before"], "after": BODY["after"], "like": [first["tile_before"], first["tile_after"]]}
    found = change_search(searcher, ChangeBody(**body, limit=3))
    assert set(places_of(searcher, found)) == set(CHANGED)
    assert archive.tile(first["tile_after"])


def test_a_timeline_has_every_date_in_order_with_scores_and_similarity(searcher):
    where = box(CHANGED[0])
    found = timeline(searcher, TimelineBody(lon=where.west + 0.2, lat=where.south + 0.2, q=BARE))
    rows = found["dates"]
    assert [row["datetime"][:4] for row in rows] == [str(year) for year in YEARS]
    before = [row["score"] for row in rows if row["datetime"] < "2013"]
    after = [row["score"] for row in rows if row["datetime"] > "2013"]
    assert min(after) > max(before)
    assert "likeness" not in rows[0]


def test_requests_that_cannot_be_answered_are_refused_in_one_sentence(searcher):
    for body, message in (
        ({"before": "1990-01-01/1991-01-01"}, "before: no tiles in this period match the filters"),
        ({"after": "2030-01-01/.."}, "after: no tiles in this period"),
        ({"was": None, "now": None}, "was, now, like: all missing"),
        ({"like": [1, 2]}, "pass either sentences or two tiles"),
        ({"now": FOREST}, "equivalent to the model"),
        ({"before": "2008-01-01/2019-01-01"}, "the first period ends after the second one starts"),
        ({"before": "soon"}, "is not a date"),
        ({"datetime": "2010-01-01T00:00:00Z/.."}, "a change has two periods"),
    ):
        with pytest.raises(QueryError, match=message):
            change_search(searcher, ChangeBody(**(BODY | body)))
    with pytest.raises(QueryError, match="no tile in this archive covers 100,0"):
        timeline(searcher, TimelineBody(lon=100, lat=0))


def test_the_command_line_the_client_and_the_api_give_the_same_results(path, searcher, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "load_for_queries", lambda *_: FakeEmbedder())
    arguments = ["--before", BODY["before"], "--after", BODY["after"], "--was", FOREST, "--now", BARE, "--min-z", "6"]
    code, out, err = run_command(
        capsys,
        monkeypatch,
        "change",
        *arguments,
        "--json",
        "--out",
        str(tmp_path / "x.geojson"),
        "--archive",
        str(path),
    )
    assert (code, err) == (0, "")
    expected = json.loads(out)
    assert json.loads((tmp_path / "x.geojson").read_text()) == expected
    assert "3 of 100 places" in run_command(capsys, monkeypatch, "change", *arguments, "--archive", str(path))[1]
    shown = run_command(capsys, monkeypatch, "timeline", BARE, "--at", "17.2,40.2", "--archive", str(path))[1]
    assert len(shown.splitlines()) == len(YEARS)
    with (
        Client(LocalBackend(Searcher(Archive.open(path), FakeEmbedder))) as local,
        Archive.open(path) as archive,
        served(app_of(archive)) as url,
        connect(url) as remote,
    ):
        for client in (local, remote):
            assert client.change(BODY["before"], BODY["after"], was=FOREST, now=BARE, min_z=6) == expected
            assert len(client.timeline(17.2, 40.2, BARE)) == len(YEARS)
        assert local.timeline(17.2, 40.2) == remote.timeline(17.2, 40.2)
        with TestClient(app_of(archive)) as http:
            assert http.get("/timeline?lon=200&lat=0").status_code == 400
            assert http.post("/change", json={"before": "2008-01-01/2009-01-01"}).status_code == 400


def test_a_heat_map_has_the_z_score_of_each_place_and_nothing_elsewhere(searcher, tmp_path):
    body = ChangeMapBody(**BODY, format="tif", area=[10, 40, 20, 50], width=20, height=20)
    with MemoryFile(change_map(searcher, ChangeCache(), body)) as file, file.open() as made:
        z, nodata = made.read(1), made.nodata
    # Places are half a degree wide and a degree apart: every other pixel.
    grid = z[1::2, ::2][::-1].ravel()
    assert set(np.flatnonzero(grid > 6)) == set(CHANGED)
    assert (z[::2] == nodata).all()
    assert (z[:, 1::2] == nodata).all()
    found = change_search(searcher, ChangeBody(**BODY, min_z=0, limit=100))
    expected = {
        place: one["properties"]["z"] for place, one in zip(places_of(searcher, found), found["features"], strict=True)
    }
    assert grid[CHANGED[0]] == pytest.approx(expected[CHANGED[0]], abs=0.01)


def test_every_interface_gives_the_heat_map(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "load_for_queries", lambda *_: FakeEmbedder())
    given = ["--before", BODY["before"], "--after", BODY["after"], "--was", FOREST, "--now", BARE]
    target = tmp_path / "change.tif"
    status, _, errors = run_command(capsys, monkeypatch, "change", *given, "--map", str(target), "--archive", str(path))
    assert status == 0, errors
    other = str(tmp_path / "change.jpg")
    status, _, errors = run_command(capsys, monkeypatch, "change", *given, "--map", other, "--archive", str(path))
    assert (status, "need .tif or .png" in errors) == (1, True)
    before, after = BODY["before"], BODY["after"]
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http, served(app_of(archive)) as url:
        with connect(url) as remote, Client(LocalBackend(Searcher(archive, FakeEmbedder))) as local:
            for client in (remote, local):
                own = client.change_map(before, after, tmp_path / "own.tif", was=FOREST, now=BARE, width=1024)
                assert own.read_bytes() == target.read_bytes()
                assert client.change_map(before, after, was=FOREST, now=BARE).size[0] == 512
        params = {"before": before, "after": after, "was": FOREST, "now": BARE}
        tile = http.get("/change/heatmap/5/17/11.png", params=params)
        assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
        again = http.get("/change/heatmap/5/17/11.png", params=params, headers={"If-None-Match": tile.headers["etag"]})
        assert again.status_code == 304
        for wrong, words in (
            ({"like": "a"}, "need two tiles"),
            ({"before": "1900-01-01/1901-01-01"}, "no tiles in this period"),
            ({"now": None, "was": None}, "all missing"),
        ):
            answer = http.get("/change/heatmap/5/17/11.png", params=_given(params | wrong))
            assert answer.status_code == 400
            assert words in answer.json()["detail"]


def _given(params):
    return {name: value for name, value in params.items() if value is not None}
