"""Scores of several families of imagery: order, score, probability and match agree in one list."""

from dataclasses import replace

import numpy as np
import pytest

from bandsight.archive import ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.maps.legend import probability_marks
from bandsight.maps.scores import scan
from bandsight.model.scoring import Calibration, Platt, Probabilities, Questions, ScoreScale
from bandsight.raster.bands import BandRef
from bandsight.search.question import Semantic, resolve_question
from bandsight.search.searcher import Searcher
from tests.archive.makers import MODEL, entry
from tests.fakes import FakeEmbedder

NEAR_INFRARED = (BandRef(name="nir", wavelength_um=0.84, href="/n.tif", index=1),)
RADAR = (BandRef(name="VV", wavelength_um=5.405, href="/r.tif", index=1),)
RGB = Platt(scale=16.0, bias=-2.0, threshold=0.8)
MULTISPECTRAL = Platt(scale=6.0, bias=0.5, threshold=None)


class TwoFamilies(FakeEmbedder):
    """Calibrated for red, green and blue, and in another way for multispectral imagery; not for radar."""

    def __init__(self, **families):
        super().__init__()
        self.families = families or {"rgb": RGB, "multispectral": MULTISPECTRAL}

    @property
    def probabilities(self):
        return Probabilities(self.name, Calibration(self.families), None, None, self.dim)


@pytest.fixture
def mixed(tmp_path):
    """Scenes of three families by turns."""
    with ArchiveWriter.create(tmp_path / "archive", MODEL) as archive:
        made = [entry(n) for n in range(9)]
        bands = {1: NEAR_INFRARED, 2: RADAR}
        archive.add([(replace(one[0], bands=bands.get(n % 3, one[0].bands)), *one[1:]) for n, one in enumerate(made)])
        yield archive


def ask(archive, encoder=None, where=None, k=100, **semantic):
    question = resolve_question(Searcher(archive, encoder or TwoFamilies()), Semantic(**semantic))
    return question.page(where or Filter(), k, None)


def families_of(page):
    return {hit.scene.bands[0].name for hit in page.hits}


@pytest.mark.parametrize(
    "semantic", [{"text": "a lake"}, {"text": ["a lake", "a river"], "strategy": "best"}], ids=["one", "alternatives"]
)
def test_order_score_probability_and_match_agree(mixed, semantic):
    page = ask(mixed, **semantic)
    assert len(page.hits) == page.matched == 36
    assert len(families_of(page)) == 3
    scores = [hit.score for hit in page.hits]
    assert scores == sorted(scores, reverse=True)
    known = [hit.probability for hit in page.hits if hit.probability is not None]
    assert len(known) == 24
    assert known == sorted(known, reverse=True)
    ticks = [hit.match is True for hit in page.hits if hit.probability is not None]
    assert ticks == sorted(ticks, reverse=True)
    assert {hit.probability_reason for hit in page.hits if hit.probability is None} == {
        "not calibrated for C-band radar"
    }


def test_the_order_would_be_another_by_cosine(mixed):
    page = ask(mixed, text="a lake")
    assert [hit.tile.id for hit in page.hits] != [hit.tile.id for hit in ask(mixed, FakeEmbedder(), text="a lake").hits]


def test_a_probability_is_that_of_the_cosine_in_its_own_family(mixed):
    text = TwoFamilies().embed_texts(["a lake"])[0]
    lines = {"red": RGB, "nir": MULTISPECTRAL}
    for hit in ask(mixed, text="a lake").hits:
        line = lines.get(hit.scene.bands[0].name)
        if line is not None:
            cosine = mixed.read(lambda view, tile=hit.tile.id: view.vectors([tile]))[0] @ text
            assert hit.probability == pytest.approx(float(line.probability(np.float32(cosine))), abs=1e-5)


def test_a_score_does_not_depend_on_what_else_is_found(mixed):
    whole = {hit.tile.id: hit.score for hit in ask(mixed, text="a lake").hits}
    own = [hit.scene.id for hit in ask(mixed, text="a lake").hits if hit.scene.bands == NEAR_INFRARED]
    alone = ask(mixed, where=Filter(scenes=tuple(set(own))), text="a lake")
    assert families_of(alone) == {"nir"}
    assert {hit.tile.id: hit.score for hit in alone.hits} == {tile: whole[tile] for tile in own_tiles(alone)}


def own_tiles(page):
    return [hit.tile.id for hit in page.hits]


def test_pages_neither_repeat_nor_miss_a_hit(mixed):
    whole = own_tiles(ask(mixed, text="a lake"))
    question = resolve_question(Searcher(mixed, TwoFamilies()), Semantic(text="a lake"))
    found, after = [], None
    while True:
        page = question.page(Filter(), 5, after)
        found += own_tiles(page)
        after = page.next
        if after is None:
            break
    assert found == whole


def test_a_least_score_and_a_least_probability_cut_the_same_list(mixed):
    whole = ask(mixed, text="a lake")
    tenth = whole.hits[9]
    above = ask(mixed, text="a lake", min_score=float(tenth.score))
    assert own_tiles(above) == own_tiles(whole)[:10]
    likely = [hit.tile.id for hit in whole.hits if hit.probability is not None and hit.probability >= 0.5]
    assert own_tiles(ask(mixed, text="a lake", min_probability=0.5)) == likely


def test_a_heat_map_has_the_scores_of_the_list(mixed):
    question = resolve_question(Searcher(mixed, TwoFamilies()), Semantic(text="a lake"))
    field = scan(mixed, question, Filter())
    listed = {hit.tile.id: hit.score for hit in ask(mixed, text="a lake").hits}
    assert dict(zip(field.ids.tolist(), field.scores.tolist(), strict=True)) == pytest.approx(listed, abs=1e-5)
    marks = probability_marks(question.searcher, question, field)
    assert len({mark["probability"] for mark in marks}) == len({mark["score"] for mark in marks})


@pytest.mark.parametrize(
    "semantic",
    [
        {"text": "a lake", "ids": [1]},
        {"text": "a lake", "negative": [{"text": "a forest"}]},
        {"text": ["a lake", "a river"], "strategy": "average"},
    ],
    ids=["and a tile", "but not", "average"],
)
def test_a_mix_of_examples_has_an_order_and_no_probability(mixed, semantic):
    page = ask(mixed, **semantic)
    assert {hit.probability for hit in page.hits} == {None}
    assert {hit.probability_reason for hit in page.hits} == {"not calibrated for a mix of examples"}
    assert {hit.match for hit in page.hits} == {None}
    assert page.nothing_matches is None


def test_imagery_without_a_probability_keeps_its_order_and_does_not_precede_likely_hits(mixed):
    other = Questions(FakeEmbedder().embed_texts(["an airport"]), 0.999)
    encoder = TwoFamilies(rgb=Platt(scale=16.0, bias=1.0), multispectral=replace(MULTISPECTRAL, questions=other))
    page = ask(mixed, encoder, text="a lake")
    plain = ask(mixed, FakeEmbedder(), text="a lake")
    for name in ("red", "nir", "VV"):
        assert of_family(page, name) == of_family(plain, name)
    chances = [hit.probability for hit in page.hits]
    first = chances.index(None)
    assert first > 0
    assert all(chance is None or chance < 0.6 for chance in chances[first:])
    covered = ask(mixed, encoder, text="an airport")
    assert {hit.scene.bands[0].name for hit in covered.hits if hit.probability is None} == {"VV"}


def of_family(page, name):
    return [hit.tile.id for hit in page.hits if hit.scene.bands[0].name == name]


def test_without_any_calibration_scores_are_cosines(mixed):
    page, plain = (ask(mixed, encoder, text="a lake") for encoder in (Uncalibrated(), FakeEmbedder()))
    assert [(hit.tile.id, hit.score) for hit in page.hits] == [(hit.tile.id, hit.score) for hit in plain.hits]


class Uncalibrated(FakeEmbedder):
    """Without a calibration."""

    @property
    def probabilities(self):
        return Probabilities(self.name, Calibration(), None, None, self.dim)


def test_a_new_scene_is_ranked_by_its_family(mixed):
    searcher = Searcher(mixed, TwoFamilies())
    resolve_question(searcher, Semantic(text="a lake")).page(Filter(), 5, None)
    added = entry(9)
    mixed.add([(replace(added[0], bands=NEAR_INFRARED), *added[1:])])
    page = resolve_question(searcher, Semantic(text="a lake")).page(Filter(), 100, None)
    known = [hit.probability for hit in page.hits if hit.probability is not None]
    assert len(known) == 28
    assert known == sorted(known, reverse=True)


@pytest.mark.parametrize("scale", [ScoreScale(0.5, 0.1), ScoreScale(knee=0.3)], ids=["line", "knee"])
def test_scales_convert_both_ways(scale):
    cosines = np.array([-0.2, 0.0, 0.7], np.float32)
    assert scale.cosines(scale.scores(cosines)) == pytest.approx(cosines, abs=1e-6)
