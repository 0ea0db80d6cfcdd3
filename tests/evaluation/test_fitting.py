import numpy as np
import pytest

from bandsight.errors import QueryError
from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.fitting import LabelledScores, fit, fit_families, gsd_range, questions
from tests.fakes import FakeEmbedder

RGB, SAR = (0.665, 0.56, 0.49), (5.405,)


def _scores(n: int, scale: float, bias: float, seed: int = 0) -> LabelledScores:
    """Cosines whose truth follows a line."""
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-0.2, 0.6, (n, 10)).astype(np.float32)
    chances = 1 / (1 + np.exp(-(cosines * scale + bias)))
    return LabelledScores(cosines=cosines, truth=rng.uniform(size=cosines.shape) < chances)


def test_the_true_scale_and_bias_are_recovered():
    line = fit([_scores(20_000, 12, -5)])
    assert (line.scale, line.bias) == pytest.approx((12, -5), rel=0.05)


def test_scores_that_separate_all_pairs_give_a_finite_fit():
    cosines = np.array([[0.5, 0.1], [0.1, 0.5]] * 20, np.float32)
    line = fit([LabelledScores(cosines=cosines, truth=cosines > 0.3)])
    assert np.isfinite([line.scale, line.bias]).all()
    assert line.probability(np.array([0.5], np.float32))[0] > 0.95
    assert line.probability(np.array([0.1], np.float32))[0] < 0.05


def test_uninformative_or_inverted_scores_are_rejected():
    with pytest.raises(QueryError, match="do not score higher with their own class"):
        fit([_scores(2000, -12, 0)])
    cosines = np.zeros((4, 2), np.float32)
    with pytest.raises(QueryError, match="at least two classes"):
        fit([LabelledScores(cosines=cosines, truth=np.ones((4, 2), bool))])


class Sees(FakeEmbedder):
    """A tile's first byte is its class; sentences about a class are near it, `noise` apart."""

    classes = ("forest", "lake", "town")

    def embed_texts(self, texts):
        which = [next(i for i, name in enumerate(self.classes) if name in text) for text in texts]
        return np.eye(self.dim, dtype=np.float32)[which]

    def embed(self, images):
        rng = np.random.default_rng(len(images))
        rows = np.array([np.eye(self.dim)[image.pixels[0, 0, 0]] for image in images])
        rows += rng.normal(0, 0.25, rows.shape)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _images(n: int, waves: tuple[float, ...], gsd_m=(10.0, 10.0)) -> list[LabelledImage]:
    return [
        LabelledImage(
            key=str(i),
            pixels=np.full((len(waves), 4, 4), i % 3, np.uint8),
            wavelengths=waves,
            cls=Sees.classes[i % 3],
            gsd_m=gsd_m,
        )
        for i in range(n)
    ]


def test_each_family_is_fitted_separately_and_checked_on_held_out_images():
    model = Sees()
    data = {"photos": _images(300, RGB), "radar": _images(90, SAR, (20.0, 20.0)), "more": _images(120, RGB, (0.5, 2.0))}

    def family_of(image):
        return "radar_x" if image.wavelengths == SAR else "rgb"

    found = fit_families(model.embed, model.embed_texts, data, family_of)
    assert list(found) == ["radar_x", "rgb"]
    assert found["rgb"]["gsd_m"] == [0.5, 10]
    assert found["rgb"]["data"] == ["more", "photos"]
    held = found["rgb"]["held_out"]
    assert found["rgb"]["images"] + held["images"] == 420
    assert 90 < held["images"] < 160
    low, high = held["interval"]
    assert 0 <= low <= high < 0.1
    assert held["archive_recall"] > 0.9
    assert found == fit_families(model.embed, model.embed_texts, data, family_of)


def test_insufficient_data_is_rejected():
    model = Sees()
    with pytest.raises(QueryError, match="need at least 20"):
        fit_families(model.embed, model.embed_texts, {"few": _images(9, RGB)}, lambda _: "rgb")
    with pytest.raises(QueryError, match="images of two classes"):
        fit_families(model.embed, model.embed_texts, {"one": _images(90, RGB)[::3]}, lambda _: "rgb")


def test_a_fit_on_few_classes_covers_queries_nearer_to_them_than_they_are_to_each_other():
    vectors = {"lake": [1, 0, 0], "pond": [0.8, 0.6, 0], "wood": [0.28, 0.96, 0], "trees": [0, 1, 0]}

    def embed_texts(texts):
        return np.array([vectors[text] for text in texts], np.float32)

    said = questions(embed_texts, {"water": ["lake", "pond"], "forest": ["wood", "trees"]})["questions"]
    assert said["sentences"] == list(vectors)
    assert said["least_cosine"] == pytest.approx(0.8 * 0.28 + 0.6 * 0.96, abs=1e-3)
    many = {str(n): [str(n)] for n in range(30)}
    assert questions(lambda texts: np.eye(len(texts), dtype=np.float32), many) == {}


def test_a_range_of_resolution_is_known_only_if_all_images_state_theirs():
    images = _images(3, RGB)
    assert gsd_range(images) == [10, 10]
    assert gsd_range([*images, *_images(1, RGB, None)]) is None
