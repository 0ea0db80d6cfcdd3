"""What stands out: copies, repeats, look-alikes, outliers, and what there is much or nothing of."""

from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.atlas import duplicates
from bandsight.atlas.atlas import build, extend_kept, load
from bandsight.atlas.duplicates import near_duplicates
from bandsight.atlas.review import review
from bandsight.atlas.service import Chart, chart_of
from bandsight.errors import QueryError
from bandsight.search.searcher import Searcher
from tests.archive.makers import DIM, MODEL
from tests.atlas.makers import PER_SCENE, entry, rows
from tests.fakes import FakeEmbedder


def scenes_of(archive: Archive, ids: np.ndarray) -> np.ndarray:
    tiles = archive.tiles_by_id(ids.tolist())
    return np.array([tiles[one].scene_id for one in ids.tolist()])


def pairs_by_brute_force(archive: Archive, chart: Chart, least: float) -> set[tuple[int, int]]:
    """Pairs of tiles of different scenes whose cosine reaches a threshold."""
    vectors = archive.vectors(chart.atlas.ids.tolist())
    scene = scenes_of(archive, chart.atlas.ids)
    alike = np.triu(vectors @ vectors.T >= np.float32(least), 1) & (scene[:, None] != scene[None])
    return set(zip(*(side.tolist() for side in np.nonzero(alike)), strict=True))


@pytest.mark.parametrize(("sample", "recall"), [(30, 0.5), (240, 0.85)])
def test_near_duplicates_are_those_of_an_exact_comparison(archive: Archive, sample: int, recall: float):
    from bandsight.atlas.atlas import save

    save(archive, build(archive, FakeEmbedder(), sample=sample, words=["a forest"]))
    chart = chart_of(archive)
    true = pairs_by_brute_force(archive, chart, 0.97)
    found = near_duplicates(archive, chart.atlas, scenes_of(archive, chart.atlas.ids), chart.days, 0.97)
    made = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(true) > 50
    assert made <= true
    assert len(made) == len(found.first), "a pair is listed twice"
    assert len(made) >= recall * len(true)
    assert (np.diff(found.cosine) <= 0).all()


def test_a_scene_indexed_twice_is_found_and_a_second_date_is_not_a_copy(path: Path):
    with ArchiveWriter.open(path) as writer:
        # The ground, date and vectors of scene 0, and its ground and vectors on another date.
        writer.add([entry(20, rows(0), 0, like=0), entry(21, rows(0), 0)])
        extend_kept(writer)
        found = review(Searcher(writer, FakeEmbedder), chart_of(writer), likeness=0.999, words=False)
    own = found["duplicates"]
    assert (own["copies"], own["repeats"]) == (PER_SCENE, 2 * PER_SCENE)
    assert own["scenes"] == [
        {"scenes": ["0.tif", "20.tif"], "tiles": PER_SCENE, "share": 1.0, "datetime": "2020-01-01T00:00:00Z"}
    ]
    assert {one["kind"] for one in own["pairs"][:PER_SCENE]} == {"copy"}


def test_tiles_like_no_other_are_outliers_with_words(path: Path):
    strange = np.zeros((2, DIM), np.float32)
    strange[0, 3], strange[1, 9] = 1, -1
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(30, strange, 5000)])
        extend_kept(writer)
        newest = writer.newest_tile
        found = review(Searcher(writer, FakeEmbedder), chart_of(writer))["outliers"]
    assert {one["tile"] for one in found["tiles"][:2]} == {newest - 1, newest}
    assert found["tiles"][0]["z"] > 5
    assert all(one["looks_like"] for one in found["tiles"])
    assert found["tiles"][0]["scene"] == "30.tif"


def test_what_there_is_much_of_and_what_is_missing(archive: Archive):
    found = review(Searcher(archive, FakeEmbedder), chart_of(archive))
    clusters = found["frequent"]["clusters"]
    assert 2.9 < clusters["effective"] <= 3
    assert not any(one["much"] for one in clusters["rows"]), "three groups of one size"
    assert sum(one["tiles"] for one in clusters["rows"]) == sum(
        one["tiles"] for one in chart_of(archive).document()["clusters"]
    )
    months = found["missing"]["months"]
    assert months["first"] == "2020-01"
    assert all(one["months"] >= 1 for one in months["gaps"])


def test_kinds_of_places_without_a_likely_tile_are_missing(archive: Archive):
    class Unsure(FakeEmbedder):
        def of(self, cosines, texts, imagery):
            return np.full_like(cosines, 0.02)

    missing = review(Searcher(archive, Unsure), chart_of(archive))["missing"]["words"]
    assert {"name": "a lake", "probability": 0.02} in missing
    assert not review(Searcher(archive, FakeEmbedder), chart_of(archive), words=False)["missing"]["words"]


def test_too_many_pairs_are_refused_with_advice(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 10)
    with pytest.raises(QueryError, match=r"more than 10 pairs reach 0.5; pass a higher one"):
        review(Searcher(archive, FakeEmbedder), chart_of(archive), likeness=0.5, words=False)


def test_an_archive_of_one_scene_and_one_tile_can_be_reviewed(tmp_path: Path):
    from bandsight.atlas.atlas import save

    with ArchiveWriter.create(tmp_path / "one", MODEL) as writer:
        writer.add([entry(4, rows(4, 1), 0)])
        save(writer, build(writer, FakeEmbedder()))
        assert len(load(writer).ids) == 1
        found = review(Searcher(writer, FakeEmbedder), chart_of(writer))
    assert found["duplicates"]["pairs"] == []
    assert found["outliers"]["count"] == 0
    assert found["missing"]["months"] == {"first": None, "last": None, "gaps": []}
