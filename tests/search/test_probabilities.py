"""Probabilities of hits: a number where the model is calibrated, else the reason why there is none."""

from dataclasses import replace

import numpy as np
import pytest

from bandsight.archive import ArchiveWriter
from bandsight.archive.scene_imagery import imagery_of
from bandsight.attributes.filters import Filter
from bandsight.model.scoring import Imagery, as_imagery
from bandsight.raster.bands import BandRef
from bandsight.search.question import Semantic, resolve_question
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from bandsight.search.zero_shot import check_labels, classify_tiles
from bandsight.stac.items import item_collection
from tests.archive.makers import MODEL, entry, scene
from tests.fakes import FakeEmbedder

REASON = "not calibrated for X-band radar"
RADAR = (BandRef(name="X", wavelength_um=5.405, href="/x.tif", index=1),)


class Calibrated(FakeEmbedder):
    """Calibrated for red, green and blue of 10 to 20 m."""

    def of(self, cosines, texts, imagery):
        found = super().of(cosines, texts, imagery)
        found[[self.reason(one) is not None for one in imagery]] = np.nan
        return found

    def threshold(self, imagery):
        return 0.5 if self.reason(imagery) is None else None

    def reason(self, imagery, text=None):
        one = as_imagery(imagery)
        if one.family != "rgb":
            return REASON
        return None if one.gsd_m is None or one.gsd_m <= 20 else "too coarse"


@pytest.fixture
def mixed(tmp_path):
    """Scene 0 has 10 m, scene 1 is X-band radar, scene 2 has 30 m."""
    with ArchiveWriter.create(tmp_path / "archive", MODEL) as archive:
        made = [entry(n) for n in range(3)]
        radar = replace(made[1][0], sensor="sar_x", bands=RADAR)
        archive.add([made[0], (radar, *made[1][1:]), made[2]])
        yield archive


def test_bands_sensor_and_frequency_determine_the_imagery():
    assert imagery_of(scene(0)) == Imagery(family="rgb", gsd_m=10)
    assert imagery_of(scene(0), scale=4) == Imagery(family="rgb", gsd_m=40)
    assert imagery_of(replace(scene(0), sensor="elevation")).family == "elevation"
    radar = replace(scene(5), bands=RADAR)
    assert imagery_of(radar) == Imagery(family="radar")
    assert imagery_of(replace(radar, sensor="sar_x")).family == "radar_x"
    own = replace(radar, sensor="my-radar", decisions={"version": 1, "bands": [{"frequency_ghz": 1.27}]})
    assert imagery_of(own).family == "radar_other"


def test_hits_without_a_calibration_have_a_reason_and_no_match(mixed):
    searcher = Searcher(mixed, Calibrated())
    page = resolve_question(searcher, Semantic(text="a lake")).page(Filter(), 20, None)
    reasons = {hit.scene.name: (hit.probability is None, hit.probability_reason) for hit in page.hits}
    assert reasons == {"0.tif": (False, None), "1.tif": (True, REASON), "2.tif": (True, "too coarse")}
    assert {hit.match for hit in page.hits if hit.probability is None} == {None}


def test_items_have_the_reason(mixed):
    found = item_collection(
        search(Searcher(mixed, Calibrated()), request_of({"q": "a lake", "limit": 12})), MODEL, None
    )
    for item in found["features"]:
        facts = item["properties"]
        assert (facts["bandsight:probability"] is None) == (facts["bandsight:probability_reason"] is not None)


def test_it_is_unknown_whether_anything_matches_if_some_hits_have_no_threshold(mixed):
    class Never(Calibrated):
        def threshold(self, imagery):
            return None if self.reason(imagery) else 1.1

    def answer(encoder, **body):
        return search(Searcher(mixed, encoder), request_of({"q": "a lake", **body})).nothing_matches

    assert answer(Never()) is None
    assert answer(Never(), collections=["red"]) is True

    class Always(Never):
        def threshold(self, imagery):
            return None if self.reason(imagery) else 0.0

    assert answer(Always()) is False


def test_a_minimum_probability_excludes_tiles_without_one(mixed):
    body = {"semantic": {"text": "a lake", "min_probability": 0.0001}, "limit": 20}
    found = search(Searcher(mixed, Calibrated()), request_of(body))
    assert {hit.scene.name for hit in found.rows} == {"0.tif"}
    assert len(found.rows) == 4


def test_an_uncovered_sentence_has_a_reason_even_among_alternatives(mixed):
    strange = FakeEmbedder().embed_texts(["ships"])[0]

    class FewQuestions(Calibrated):
        def of(self, cosines, texts, imagery):
            return np.where(texts @ strange > 0.99, np.nan, super().of(cosines, texts, imagery))

        def reason(self, imagery, text=None):
            odd = text is not None and text @ strange > 0.99
            return "not calibrated for this kind of question" if odd else super().reason(imagery)

    def hits(**semantic):
        body = {"semantic": semantic, "collections": ["red"], "limit": 20}
        return search(Searcher(mixed, FewQuestions()), request_of(body)).rows

    assert {hit.probability_reason for hit in hits(text="ships")} == {"not calibrated for this kind of question"}
    assert {hit.match for hit in hits(text="ships")} == {None}
    assert hits(text="ships", min_probability=0.01) == []
    lakes = {hit.tile.id: hit.probability for hit in hits(text="a lake")}
    assert None not in lakes.values()
    both = hits(text=["ships", "a lake"], strategy="best")
    assert {hit.probability_reason for hit in both} == {"not calibrated for this kind of question"}
    assert hits(text=["ships", "a lake"], strategy="best", min_probability=0.01) == []


def test_classes_of_imagery_without_a_calibration_are_ranked_and_have_no_probability(mixed):
    rows = classify_tiles(mixed, Calibrated(), check_labels(["a", "b"]), Filter())
    assert {row["probability_reason"] for row in rows} == {None, REASON, "too coarse"}
    for row in rows:
        assert (row["probabilities"]["a"] is None) == (row["probability_reason"] is not None)
        assert row["ranked"][0] == row["label"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12345", "not calibrated for queries without words"),
        ("?! -", "not calibrated for queries without words"),
        ("озеро среди полей", "not calibrated for queries in scripts other than Latin"),
        ("湖", "not calibrated for queries in scripts other than Latin"),
        ("ein See mit Feldern", "not calibrated for queries in languages other than English"),
        ("forêt", "not calibrated for queries in languages other than English"),
        ("water " * 41, "not calibrated for queries of more than 40 words"),
        ("lake", None),
        ("houses in Las Vegas", None),
        ("a white van", None),
        ("2 round storage tanks beside a river, seen from above", None),
    ],
)
def test_uncovered_queries_have_no_match_on_any_imagery(mixed, text, reason):
    class Sure(Calibrated):
        def threshold(self, imagery):
            return 0.0

    page = search(Searcher(mixed, Sure()), request_of({"q": [text], "filter": None, "collections": ["red"]}))
    assert {hit.probability_reason for hit in page.rows} == {reason}
    assert {hit.match for hit in page.rows} == ({True} if reason is None else {None})
    assert page.nothing_matches is (False if reason is None else None)
    body = {"semantic": {"text": text, "min_probability": 0.01}, "collections": ["red"]}
    assert len(search(Searcher(mixed, Sure()), request_of(body)).rows) == (4 if reason is None else 0)
