import numpy as np

from bandsight.model.calibration import background_mean, background_sentences
from bandsight.model.scoring import less_background, sentence_vectors
from tests.fakes import FakeEmbedder


class Centred(FakeEmbedder):
    """Tells by its background how well a tile scores with anything."""

    def __init__(self):
        super().__init__()
        self.background = background_mean(self)


def test_tiles_are_ranked_by_how_much_better_they_score_than_with_the_background():
    model = Centred()
    tiles = np.random.default_rng(0).normal(size=(50, model.dim)).astype(np.float32)
    texts = ["a lake", "a road"]
    found = sentence_vectors(model, texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    background = tiles @ model.embed_texts(background_sentences()).T
    for vector, plain in zip(found, model.embed_texts(texts), strict=True):
        order = np.argsort(-(tiles @ vector))
        np.testing.assert_array_equal(order, np.argsort(-(tiles @ plain - background.mean(axis=1))))


def test_a_model_without_a_background_ranks_by_its_own_vectors():
    model = FakeEmbedder()
    np.testing.assert_array_equal(sentence_vectors(model, ["a lake"]), model.embed_texts(["a lake"]))
    none = np.empty((0, model.dim), np.float32)
    assert less_background(none, np.ones(model.dim, np.float32)).shape == none.shape


def test_a_sentence_equal_to_the_background_keeps_its_vector():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    np.testing.assert_array_equal(
        less_background(rows, rows[0]), [[1, 0], [-np.sqrt(0.5, dtype=np.float32), np.sqrt(0.5, dtype=np.float32)]]
    )
