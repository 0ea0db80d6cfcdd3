import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bandsight.evaluation.datasets import LabelledImage, read_dataset
from bandsight.evaluation.evaluate import embed, evaluate
from bandsight.evaluation.report import markdown
from bandsight.model import load_model
from tests.fakes import FakeEmbedder
from tests.model.conftest import TINY

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


def test_a_perfect_model_has_perfect_metrics():
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
    # Four images of each class have the same words, and only one of the four is right for each caption.
    assert found["retrieval"]["image_to_text_r1"] == found["retrieval"]["text_to_image_r1"] == 25
    assert found["retrieval"]["image_to_text_r5"] == found["retrieval"]["text_to_image_r10"] == 100
    assert found["zero_shot"]["top1"] == found["zero_shot"]["top1_name_alone"] == 100
    assert found["zero_shot"]["intervals"]["top1"] == (100, 100)
    assert found["nothing_matches"]["threshold"] == 0.9
    assert found["calibration"]["pairs"] == 36
    assert "bands" not in found


def test_only_metrics_that_the_images_allow_are_computed():
    images = [_image(n, 5, FIVE) for n in range(3)]
    found = evaluate(FakeEmbedder(), images)
    assert set(found) == {"images", "bands"}
    assert found["bands"]["images"] == 3


class Blind(FakeEmbedder):
    """Knows an image by the number of its bands alone."""

    def embed_pixels(self, pixels, wavelengths):
        return np.eye(self.dim, dtype=np.float32)[[len(wavelengths)] * len(pixels)]

    def threshold(self, imagery):
        return 0.25 if imagery.family == "rgb" else 0.5


def test_agreement_of_bands_is_reported_next_to_that_of_other_places():
    seen = evaluate(Oracle([]), [LabelledImage(key=str(n), pixels=np.full((5, 8, 8), n, np.uint8), wavelengths=FIVE,
                                               cls=None) for n in range(4)])["bands"]  # fmt: skip
    assert (seen["rgb_with_all"], seen["some_with_all"], seen["different_places"]) == (1, 1, 0)
    blind = evaluate(Blind(), [_image(n, 5, FIVE) for n in range(2)])["bands"]
    assert (blind["rgb_with_all"], blind["different_places"]) == (0, 1)


def test_images_without_captions_are_no_retrieval_queries():
    images = [
        LabelledImage(
            key=str(n),
            pixels=np.full((3, 32, 32), n % 2, np.uint8),
            wavelengths=RGB,
            cls=None,
            captions=("a lake", "a town")[n % 2 : n % 2 + 1] if n < 4 else (),
        )
        for n in range(8)
    ]
    found = evaluate(Oracle(["lake", "town"]), images)["retrieval"]
    assert (found["images"], found["captions"], found["image_to_text_r5"]) == (4, 4, 100)


def test_no_more_than_five_captions_of_an_image_count():
    images = [
        LabelledImage(
            key=str(n),
            pixels=np.full((3, 8, 8), n, np.uint8),
            wavelengths=RGB,
            cls=None,
            captions=tuple(f"{'lake' if not n else 'town'} {c}" for c in range(7 - 4 * n)),
        )
        for n in range(2)
    ]
    found = evaluate(Oracle(["lake", "town"]), images)["retrieval"]
    assert (found["captions"], found["captions_per_image"], found["mean_recall"]) == (8, [3, 5], 100)


def test_every_figure_has_an_interval():
    images = [_image(n, 5, FIVE, "ab"[n % 2], [f"caption {n}"]) for n in range(12)]
    found = evaluate(FakeEmbedder(), images)
    for section in ("retrieval", "zero_shot", "bands", "nothing_matches"):
        for name, bounds in found[section]["intervals"].items():
            for figure, (low, high) in (
                zip(found[section][name].values(), bounds.values(), strict=True)
                if isinstance(bounds, dict)
                else [(found[section][name], bounds)]
            ):
                assert low <= high, name
                assert figure >= 0, name
    assert found["calibration"]["interval"]
    assert found["paraphrases"]["interval"]
    assert evaluate(FakeEmbedder(), images) == found
    assert "–" in markdown("fake", {"a set": found})


def test_each_image_is_matched_by_the_threshold_of_its_family():
    images = [_image(0, 3, RGB, "a"), _image(1, 5, FIVE, "b"), _image(2, 3, RGB, "b")]
    for order in ([0, 1, 2], [1, 2, 0]):
        found = evaluate(Blind(), [images[i] for i in order])["nothing_matches"]
        assert found["threshold"] == [0.25, 0.5]


class HalfCalibrated(FakeEmbedder):
    """Calibrated for red, green and blue alone."""

    def of(self, cosines, texts, imagery):
        found = super().of(cosines, texts, imagery)
        found[[one.family != "rgb" for one in imagery]] = np.nan
        return found

    def threshold(self, imagery):
        return 0.5 if imagery.family == "rgb" else None

    def reason(self, imagery, text=None):
        return None if imagery.family == "rgb" else "not calibrated for multispectral imagery"


def test_calibration_is_measured_by_family_and_uncalibrated_ones_are_named():
    images = [_image(n, *((3, RGB) if n < 4 else (5, FIVE)), "ab"[n % 2]) for n in range(10)]
    found = evaluate(HalfCalibrated(), images)
    assert found["not_calibrated"] == {"not calibrated for multispectral imagery": 6}
    assert list(found["calibration"]["by_family"]) == ["rgb"]
    assert found["calibration"]["pairs"] == found["calibration"]["by_family"]["rgb"]["pairs"] == 8
    assert "nothing_matches" not in found
    assert "calibration" not in evaluate(HalfCalibrated(), images[4:])


def test_precision_at_10_accounts_for_classes_with_fewer_images():
    images = [
        LabelledImage(
            key=str(n), pixels=np.full((3, 8, 8), n % 2, np.uint8), wavelengths=RGB, cls=("lake", "town")[n % 2]
        )
        for n in range(8)
    ]
    found = evaluate(Oracle(["lake", "town"]), images)["zero_shot"]["precision_at_10"]
    assert found == {"lake": 1, "town": 1}


@pytest.mark.parametrize("mode", ["squash", "shortest"])
def test_images_cached_at_the_models_size_have_the_vectors_of_searches(tmp_path, mode):
    tiny = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    config = json.loads((tiny / "open_clip_config.json").read_text())
    config["preprocess_cfg"] |= {"resize_mode": mode, "interpolation": "bilinear"}
    (tiny / "open_clip_config.json").write_text(json.dumps(config))
    model = load_model(f"local-dir:{tiny}", "cpu", check=False)
    (tmp_path / "set" / "lake").mkdir(parents=True)
    Image.fromarray(_image(1, 3, RGB).pixels.transpose(1, 2, 0)).resize((200, 90)).save(tmp_path / "set/lake/a.png")
    (whole,) = read_dataset(tmp_path / "set")
    (small,) = read_dataset(tmp_path / "set", resized=model.resized)
    assert small.pixels.shape == (3, model.image_size, model.image_size)
    asked = model.embed_pixels(whole.pixels[None], whole.wavelengths)
    np.testing.assert_array_equal(embed(model, [small]), asked)
    np.testing.assert_array_equal(embed(model, [whole]), asked)


def test_an_encoder_gets_original_images_and_resizes_them_itself():
    sizes = []

    class Sees(FakeEmbedder):
        def embed_pixels(self, pixels, wavelengths):
            sizes.append(pixels.shape)
            return super().embed_pixels(pixels, wavelengths)

    embed(Sees(), [_image(n, 3, RGB) for n in range(3)])
    assert sizes == [(3, 3, 40, 30)]


def test_images_of_other_bands_keep_their_order():
    images = [_image(0, 3, RGB), _image(1, 5, FIVE), _image(2, 3, RGB)]
    model = FakeEmbedder()
    together = embed(model, images)
    for row, image in enumerate(images):
        np.testing.assert_allclose(together[row], embed(model, [image])[0], atol=1e-6)


def test_wordings_agree_fully_if_the_model_ignores_words():
    class Deaf(FakeEmbedder):
        def embed_texts(self, texts):
            return np.ones((len(texts), self.dim), np.float32) / 4

    found = evaluate(Deaf(), [_image(n, 3, RGB) for n in range(30)])
    assert found["paraphrases"]["top10_overlap"] == 1
    assert found["paraphrases"]["wishes"] >= 20


def test_the_table_has_a_row_for_each_set_and_a_dash_for_missing_metrics():
    text = markdown("fake", {"a set": {"images": 3}, "other": {"images": 4, "zero_shot": {"top1": 50.0}}})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    odd = markdown("fake", {"a|b\nc": {"images": 3}}).splitlines()[-1]
    assert odd.startswith("| a\\|b c | 3 |")
    assert rows[1].startswith("| a set | 3 | - ")
    assert "50%" in rows[2]


@pytest.mark.parametrize("cls", [None, "only one"])
def test_one_class_gives_no_classification_metrics(cls):
    assert "zero_shot" not in evaluate(FakeEmbedder(), [_image(n, 3, RGB, cls) for n in range(3)])
