"""Vectors of cells beside those of tiles: means of the dense features, from both runtimes and both model families."""

import numpy as np
import pytest

from bandsight.errors import ModelError
from bandsight.model.cells import pooled_cells
from bandsight.model.folder import find_model
from bandsight.model.image_tower import image_tower
from bandsight.model.loader import load_model
from tests.model.conftest import TINY

RGB_UM = (0.665, 0.56, 0.49)
WAVES = {"three": RGB_UM, "four": (*RGB_UM, 0.842), "radar": (5.405, 5.405)}


def pixels(bands: int) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, 256, (3, bands, 96, 96), np.uint8)


@pytest.mark.parametrize("waves", WAVES.values(), ids=WAVES)
@pytest.mark.parametrize("side", [2, 4])
def test_the_light_tower_gives_tiles_and_cells_in_one_pass(waves, side):
    tower = image_tower(find_model("embedded"))
    vectors, cells = tower.with_cells("embedded", pixels(len(waves)), waves, side)
    np.testing.assert_array_equal(vectors, tower.embed(pixels(len(waves)), waves))
    np.testing.assert_array_equal(cells, pooled_cells(tower.dense(pixels(len(waves)), waves), side))
    assert cells.shape == (3, side, side, 384)
    np.testing.assert_allclose(np.linalg.norm(cells, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("source", ["embedded", f"local-dir:{TINY}"])
def test_pytorch_gives_the_same_tiles_and_the_means_of_its_dense_features(source):
    model = load_model(source, "cpu", check=False)
    begun = model.begin_pixels(pixels(3), RGB_UM, 2)
    np.testing.assert_allclose(begun.result(), model.embed_pixels(pixels(3), RGB_UM), atol=1e-6)
    np.testing.assert_allclose(begun.cells(), pooled_cells(model.dense(pixels(3), RGB_UM), 2), atol=1e-5)
    assert model.begin_pixels(pixels(3), RGB_UM).cells() is None
    assert model.begin_pixels(pixels(3)[:0], RGB_UM, 2).cells().shape == (0, 2, 2, model.dim)
    with pytest.raises(ModelError, match="parts apart, so pass at most --cells"):
        model.begin_pixels(pixels(3), RGB_UM, 64)


def test_both_runtimes_agree():
    light = image_tower(find_model("embedded"))
    whole = load_model("embedded", "cpu", check=False)
    cells = whole.begin_pixels(pixels(3), RGB_UM, 4).cells()
    np.testing.assert_allclose(light.with_cells("embedded", pixels(3), RGB_UM, 4)[1], cells, atol=1e-5)


def test_cells_are_means_of_finer_parts_of_length_1():
    fine = np.random.default_rng(1).normal(size=(2, 4, 6, 5)).astype(np.float32)
    cells = pooled_cells(fine, 2)
    expected = fine[0, :2, :3].mean(axis=(0, 1))
    np.testing.assert_allclose(cells[0, 0, 0], expected / np.linalg.norm(expected), atol=1e-6)
