import numpy as np
import pytest

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import embed, evaluate
from bandsight.evaluation.report import markdown
from tests.fakes import FakeEmbedder

RGB, FIVE = (0.665, 0.56, 0.49), (0.49, 0.56, 0.665, 0.842, 1.61)


def _image(number: int, bands: int, waves: tuple[float, ...], cls: str | None = None, captions=()) -> LabelledImage:
    pixels = np.random.default_rng(number).integers(0, 256, (bands, 40, 30), np.uint8)
    return LabelledImage(key=str(number), pixels=pixels, wavelengths=waves, cls=cls, captions=tuple(captions))


class Oracle(FakeEmbedder):
    """Texts and images of the same class have the same vector."""

    def __init__(self, classes: list[str]) -> None:
        super().__init__()
        self.classes = classes

    def embed_pixels(self, pixels, wavelengths):
        return np.eye(self.dim, dtype=np.float32)[[int(tile[0, 0, 0]) for tile in pixels]]

    def embed_texts(self, texts):
        which = [next((i for i, name in enumerate(self.classes) if name in text), self.dim - 1) for text in texts]
        return np.eye(self.dim, dtype=np.float32)[which]


def test_a_perfect_model_gets_full_marks():
    classes = ["forest", "lake", "town"]
    images = [
        LabelledImage(
            key=str(n),
            pixels=np.full((3, 32, 32), n % 3, np.uint8),
            wavelengths=RGB,
            cls=classes[n % 3],
            captions=(f"a {classes[n % 3]}",),
        )
        for n in range(12)
    ]
    found = evaluate(Oracle(classes), images)
    assert found["images"] == 12
    assert found["retrieval"]["mean_recall"] == 100
    assert found["zero_shot"]["top1"] == found["zero_shot"]["top1_name_alone"] == 100
    assert found["nothing_matches"]["threshold"] == 0.9
    assert found["calibration"]["pairs"] == 36
    assert "bands" not in found


def test_only_what_the_images_allow_is_measured():
    images = [_image(n, 5, FIVE) for n in range(3)]
    found = evaluate(FakeEmbedder(), images)
    assert set(found) == {"images", "bands"}
    assert found["bands"]["images"] == 3
    assert -1 <= found["bands"]["rgb_with_all"] <= 1


def test_images_of_other_bands_keep_their_order():
    images = [_image(0, 3, RGB), _image(1, 5, FIVE), _image(2, 3, RGB)]
    model = FakeEmbedder()
    together = embed(model, images)
    for row, image in enumerate(images):
        np.testing.assert_allclose(together[row], embed(model, [image])[0], atol=1e-6)


def test_wordings_agree_fully_where_the_model_ignores_words():
    class Deaf(FakeEmbedder):
        def embed_texts(self, texts):
            return np.ones((len(texts), self.dim), np.float32) / 4

    found = evaluate(Deaf(), [_image(n, 3, RGB) for n in range(30)])
    assert found["paraphrases"]["top10_overlap"] == 1
    assert found["paraphrases"]["wishes"] >= 20


def test_the_table_has_a_row_for_each_set_and_a_dash_where_nothing_was_measured():
    text = markdown("fake", {"a set": {"images": 3}, "other": {"images": 4, "zero_shot": {"top1": 50.0}}})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert rows[1].startswith("| a set | 3 | - ")
    assert "50 %" in rows[2]


@pytest.mark.parametrize("cls", [None, "only one"])
def test_one_class_is_no_classification(cls):
    assert "zero_shot" not in evaluate(FakeEmbedder(), [_image(n, 3, RGB, cls) for n in range(3)])
