import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import bandsight.model
from bandsight.errors import ModelError
from bandsight.model import load_model, loader
from bandsight.model.selftest import RGB_UM, _forest, _water, self_test

FOLDER = Path(bandsight.model.__file__).parent / "embedded"
S2_UM = (0.443, 0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 0.865, 0.945, 1.61, 2.19)


@pytest.fixture(scope="module")
def model():
    # Loading runs the self-test.
    return load_model("embedded", "cpu")


def test_it_is_small_and_has_a_model_card(model):
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 42e6
    assert (model.name, model.dim, model.image_size) == ("embedded", 384, 128)
    assert model.license == "LicenseRef-research-only"
    card = (FOLDER / "MODEL_CARD.md").read_text()
    assert model.license in card
    assert "never saw" in card


@pytest.mark.parametrize("bands", [1, 2, 3, 12, 200])
def test_it_accepts_any_list_of_bands(model, bands):
    pixels = np.random.default_rng(0).integers(0, 256, (2, bands, 96, 80), np.uint8)
    found = model.embed_pixels(pixels, np.linspace(0.4, 2.4, bands).tolist())
    assert found.shape == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


# Reflectance of water and of trees in the bands of S2_UM, as a share of full brightness (0.3).
WATER = (0.17, 0.17, 0.15, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.02, 0.01, 0.01)
TREES = (0.07, 0.08, 0.14, 0.09, 0.2, 0.55, 0.7, 0.78, 0.75, 0.7, 0.34, 0.14)


def test_a_place_in_three_and_in_twelve_bands_has_similar_vectors(model):
    places = []
    for picture, spectrum in ((_water(), WATER), (_forest(), TREES)):
        texture = picture.mean(axis=0) / picture.mean()
        bands = np.array(spectrum)[:, None, None] * texture * 255
        places.append(np.clip(bands, 0, 255).astype(np.uint8))
    many = model.embed_pixels(np.stack(places), S2_UM)
    few = model.embed_pixels(np.stack([place[[3, 2, 1]] for place in places]), RGB_UM)
    cosines = few @ many.T
    assert (np.diag(cosines) > np.diag(cosines[:, ::-1])).all()
    assert (np.diag(cosines) > 0.5).all()


def test_texts_rank_images(model):
    images = model.embed_pixels(np.stack([_water(), _forest()]), RGB_UM)
    texts = model.embed_texts(["open water", "a dense green forest"])
    scores = images @ texts.T
    assert (scores.argmax(axis=1) == [0, 1]).all()
    assert (scores.argmax(axis=0) == [0, 1]).all()
    probabilities = model.probabilities.own(images @ texts.T)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_tile_is_the_mean_of_its_cells(model):
    pixels = np.stack([_water(), _forest()])
    cells = model.dense(pixels, RGB_UM)
    assert cells.shape[0] == 2
    assert cells.shape[3] == 384
    np.testing.assert_allclose(np.linalg.norm(cells, axis=3), 1, atol=1e-5)
    torch_model = loader.load_model("embedded", "cpu", check=False)
    image = torch_model._preprocess.scaled(torch.from_numpy(torch_model.resized(pixels)))
    mean = torch_model.encode_dense(image, RGB_UM).mean(dim=(1, 2))
    torch.testing.assert_close(mean, torch_model.encode_image(image, RGB_UM), rtol=1e-3, atol=1e-4)


def test_cells_locate_things_in_a_tile(model):
    water, forest = _water(), _forest()
    half = np.concatenate([water[:, :, :112], forest[:, :, 112:]], axis=2)
    cells = model.dense(half[None], RGB_UM)[0]
    texts = model.embed_texts(["open water", "a dense green forest"])
    greener = (cells @ texts[1]) - (cells @ texts[0])
    assert greener[:, -1].mean() > greener[:, 0].mean()


def test_empty_input_gives_empty_output(model):
    assert model.embed_pixels(np.empty((0, 3, 9, 9), np.uint8), RGB_UM).shape == (0, 384)
    assert model.embed_texts([]).shape == (0, 384)


def test_threads_with_different_bands_do_not_interfere(model):
    rng = np.random.default_rng(1)
    jobs = [
        (rng.integers(0, 256, (1, len(w), 64, 64), np.uint8), w) for w in (RGB_UM, S2_UM, (5.405,)) for _ in range(4)
    ]
    expected = [model.embed_pixels(*job) for job in jobs]
    found = [np.empty(0)] * len(jobs)

    def run(position):
        found[position] = model.embed_pixels(*jobs[position])

    threads = [threading.Thread(target=run, args=(position,)) for position in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


class Broken:
    """The real model with one broken tower."""

    def __init__(self, model, *, texts=None, images=None):
        self.name = model.name
        self.embed_texts = texts or model.embed_texts
        self.embed_pixels = images or model.embed_pixels


def test_the_self_test_rejects_identical_text_vectors(model):
    broken = Broken(model, texts=lambda texts: np.repeat(model.embed_texts(texts[:1]), len(texts), axis=0))
    with pytest.raises(ModelError, match="same vector for different prompts"):
        self_test(broken)


def test_the_self_test_rejects_a_model_that_confuses_water_with_forest(model):
    broken = Broken(model, images=lambda pixels, waves: model.embed_pixels(pixels, waves)[::-1])
    with pytest.raises(ModelError, match="confuses water with forest"):
        self_test(broken)
