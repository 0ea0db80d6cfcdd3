"""The atlas through all interfaces: command line, API, and the clients of a folder and of a server."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from bandsight.atlas import service
from bandsight.atlas.atlas import load, path_of
from bandsight.atlas.service import chart_of
from bandsight.client.client import Client
from bandsight.errors import NotFoundError, QueryError
from tests.atlas.makers import KINDS, PER_SCENE, entry, rows
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import app_of

ALL = 6 * PER_SCENE


def test_the_commands_build_show_extend_review_and_export(bandsight, path: Path, tmp_path: Path):
    with Archive.open(path) as opened:
        path_of(opened).unlink()
    code, _, err = bandsight("atlas", "show")
    assert (code, "has none yet; run: bandsight atlas build" in err) == (1, True)
    (tmp_path / "words.txt").write_text("\n".join(KINDS) + "\n\n")
    code, out, _ = bandsight("atlas", "build", "--words", str(tmp_path / "words.txt"))
    assert (code, out) == (0, "240 tiles, 240 of them laid out, 3 clusters\n")
    assert json.loads(bandsight("atlas", "build", "--sample", "100", "--json")[1])["sample"] == 100
    code, out, _ = bandsight("atlas", "show")
    assert "240 of 240 tiles" in out
    assert json.loads(bandsight("atlas", "show", "--json")[1])["points"] == ALL
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(6, rows(6), ALL)])
    assert bandsight("atlas", "extend")[1] == "280 tiles, 240 before\n"
    code, out, _ = bandsight("atlas", "review", "--top", "3")
    assert code == 0
    for expected in ("Near-duplicates:", "Outliers:", "Tiles by cluster;", "Months without scenes", "Kinds of places"):
        assert expected in out
    assert json.loads(bandsight("atlas", "review", "--json")[1])["points"] == ALL + PER_SCENE
    code, _, err = bandsight("atlas", "export", "--out", str(tmp_path / "atlas.csv"))
    assert (code, "need a name that ends in .parquet" in err) == (1, True)
    assert bandsight("atlas", "export", "--out", str(tmp_path / "atlas.parquet"))[0] == 0
    for words in ("", "\xff"):
        (tmp_path / "words.txt").write_bytes(words.encode("latin-1"))
        code, _, err = bandsight("atlas", "build", "--words", str(tmp_path / "words.txt"))
        assert code == 1
        assert "write one sentence a line" in err or "pass a text file" in err


def test_the_export_has_what_embedding_atlas_reads_and_is_geoparquet(bandsight, path: Path, tmp_path: Path):
    geopandas = pytest.importorskip("geopandas")
    out = tmp_path / "atlas.parquet"
    assert bandsight("atlas", "export", "--out", str(out))[0] == 0
    table = geopandas.read_parquet(out)
    with Archive.open(path) as archive:
        atlas = load(archive)
        tile = archive.tile(int(table.id[0]))
    assert np.allclose(table[["x", "y"]].to_numpy(), atlas.points)
    assert table.id.tolist() == atlas.ids.tolist()
    assert set(table.cluster.dropna()) == set(KINDS)
    assert table.text[0].startswith(f"{table.cluster[0]} · 0.tif · ")
    (own,) = tile.boxes
    assert table.geometry[0].bounds == (own.west, own.south, own.east, own.north)
    assert table.geometry.contains(geopandas.GeoSeries.from_xy(table.lon, table.lat, crs=table.crs)).all()


def test_a_client_reads_points_and_values(client: Client, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "PART", 100)
    atlas = client.atlas()
    info = atlas.info()
    assert (info["points"], info["parts"], info["missing"]) == (ALL, 3, 0)
    points = atlas.points()
    with Archive.open(path) as archive:
        kept = load(archive)
        scenes = archive.scenes_by_id([archive.tile(one).scene_id for one in (1, ALL)])
        sensors = {scene.id: scene for scene in scenes.values()}
        last = sensors[archive.tile(ALL).scene_id]
    assert np.array_equal(points.ids, kept.ids)
    assert np.array_equal(points.points, kept.points)
    assert np.array_equal(points.cluster, kept.cluster)
    assert info["sensors"][points.sensor[-1]] == last.sensor
    assert np.datetime64(int(points.days[0]), "D") == np.datetime64("2020-01-01")
    named = {one["id"]: one["name"] for one in info["clusters"]}
    lake = atlas.values({"q": "a lake"})
    own = np.array([named.get(one) == "a lake" for one in points.cluster.tolist()])
    assert lake[own].min() > lake[~own].max()
    classes = atlas.values({"labels": list(KINDS)})
    # Sentences from templates: each class is at least the same for all of a kind, mostly.
    for name in KINDS:
        values = classes[[named.get(one) == name for one in points.cluster.tolist()]]
        assert (values == np.bincount(values.astype(int)).argmax()).mean() > 0.8
    chosen = atlas.values({"sensors": ["one"]})
    assert np.array_equal(np.isfinite(chosen), np.array(info["sensors"])[points.sensor] == "one")
    assert set(chosen[np.isfinite(chosen)].tolist()) == {1.0}
    assert atlas.review(likeness=0.9, limit=2)["likeness"] == 0.9
    assert atlas.export(tmp_path / "a.parquet").stat().st_size > 1000
    with pytest.raises(QueryError, match="found both; pass one of them"):
        atlas.values({"q": "a lake", "labels": ["a", "b"]})
    with Archive.open(path) as opened:
        path_of(opened).unlink()
    with pytest.raises(NotFoundError, match="bandsight atlas build"):
        atlas.info()


def test_the_api_bounds_what_it_sends(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "MAX_POINTS", 50)
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http:
        made = http.get("/atlas").json()
        assert (made["points"], made["tiles"], made["missing"]) == (50, ALL, 0)
        answer = http.get("/atlas/points", headers={"Accept-Encoding": "gzip"})
        assert (len(answer.content), answer.headers.get("content-encoding")) == (50 * 24, None)
        assert answer.headers["bandsight-generation"] == str(made["generation"])
        ids = np.frombuffer(answer.content, "<f8", 50)
        assert (ids[0], ids[-1]) == (1, ALL), "an even sample"
        values = http.post("/atlas/values", json={"q": "a lake"})
        assert len(values.content) == 50 * 4
        assert http.get("/atlas/export").content[:4] == b"PAR1"
        for method, route, body, message in (
            ("GET", "/atlas/points?part=1", None, "part: found 1; the atlas has 1, from 0"),
            ("GET", "/atlas/points?part=x", None, "part: found"),
            ("POST", "/atlas/values", {"labels": ["one"]}, "labels: found"),
            ("POST", "/atlas/values", {"colour": "red"}, "colour: found"),
            ("POST", "/atlas/values", {"sensors": ["three"]}, "three"),
            ("GET", "/atlas/review?likeness=0.1", None, "likeness: found 0.1"),
        ):
            answer = http.request(method, route, json=body)
            assert (answer.status_code, message in answer.json()["detail"]) == (400, True), answer.json()


def test_new_tiles_are_placed_on_demand(path: Path, monkeypatch: pytest.MonkeyPatch):
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http:
        assert http.get("/atlas").json()["points"] == ALL
        with ArchiveWriter.open(path) as writer:
            writer.add([entry(6, rows(6), ALL)])
        assert http.get("/atlas").json()["points"] == ALL + PER_SCENE
        monkeypatch.setattr(service, "_PLACED", 10)
        with ArchiveWriter.open(path) as writer:
            writer.add([entry(7, rows(7), ALL + PER_SCENE)])
        made = http.get("/atlas").json()
        assert (made["points"], made["missing"]) == (ALL + 10, 2 * PER_SCENE - 10)
        assert len(chart_of(archive).days) == ALL + 10


def test_the_service_keeps_one_chart_until_the_next_commit(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    from bandsight.search.searcher import Searcher

    kept = service.AtlasService(Searcher(archive, FakeEmbedder))
    first = kept.chart()
    monkeypatch.setattr(service, "chart_of", lambda _: pytest.fail("made again"))
    assert kept.chart() is first


def test_the_file_is_read_without_unpickling(path: Path):
    """A pickle in the file is refused: archives may come from strangers."""
    data = io.BytesIO()
    np.savez(data, about=np.array([object()], object))
    with Archive.open(path) as archive:
        path_of(archive).write_bytes(data.getvalue())
        with pytest.raises(NotFoundError, match="is damaged"):
            load(archive)
