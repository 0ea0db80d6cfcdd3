"""Queries covered by the shipped multispectral calibration, which was fitted on six kinds of land cover."""

import pytest

from bandsight.model import load_for_queries
from bandsight.model.scoring import sentence_vectors

S2 = (0.49, 0.56, 0.665, 0.842)
COVERS = (
    "pond",
    "a river",
    "a reservoir",
    "sea",
    "ocean",
    "lake shore",
    "trees",
    "coniferous forest",
    "deciduous forest",
    "jungle",
    "crops",
    "ploughed field",
    "wheat field",
    "meadow",
    "grassland",
    "town",
    "city",
    "village houses",
    "suburb",
    "urban area",
    "cloudy",
    "overcast",
    "haze",
    "fog",
    "desert",
    "sand",
    "rocks",
    "barren land",
    "dry soil",
    "forest clearing",
    "water body",
    "snow",
)
OTHERS = (
    "airport",
    "ships",
    "a ship",
    "runway",
    "storage tanks",
    "stadium",
    "tennis court",
    "baseball field",
    "bridge",
    "railway",
    "roundabout",
    "parking lot",
    "cars",
    "harbor",
    "port",
    "golf course",
    "church",
    "solar panels",
    "wind turbines",
    "tailings pond",
    "open pit mine",
    "quarry",
    "oil spill",
    "burned area",
    "dam",
    "power plant",
    "greenhouses",
    "swimming pool",
    "highway",
    "roads",
    "aircraft on a runway",
    "container terminal",
)


@pytest.fixture(scope="module")
def encoder():
    return load_for_queries("embedded", "cpu")


def _covered(encoder, sentences):
    vectors = sentence_vectors(encoder, list(sentences))
    reasons = [encoder.probabilities.reason(S2, vector) for vector in vectors]
    return [one for one, reason in zip(sentences, reasons, strict=True) if reason is None]


def test_other_words_for_ground_cover_have_a_probability(encoder):
    assert len(_covered(encoder, COVERS)) >= 24


def test_queries_for_objects_have_no_probability(encoder):
    assert len(_covered(encoder, OTHERS)) <= 4


def test_red_green_and_blue_cover_any_query(encoder):
    vectors = sentence_vectors(encoder, list(OTHERS))
    assert {encoder.probabilities.reason((0.66, 0.56, 0.49), vector) for vector in vectors} == {None}
