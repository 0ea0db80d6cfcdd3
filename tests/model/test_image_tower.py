"""The image tower without PyTorch gives the vectors that PyTorch gives, for any bands and sizes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bandsight.errors import WavelengthError
from bandsight.model.folder import find_model
from bandsight.model.image_tower import image_tower
from bandsight.model.loader import load_model
from bandsight.model.onnx_graph import cpu_threads
from tests.model.conftest import CONFIG, TINY, WEIGHTS

RGB_UM = (0.665, 0.56, 0.49)
S2_UM = (0.443, 0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 0.865, 0.945, 1.61, 2.19)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def tower():
    return image_tower(find_model("embedded"))


@pytest.fixture(scope="module")
def whole():
    return load_model("embedded", "cpu", check=False)


@pytest.mark.parametrize(
    ("wavelengths", "height", "width"),
    [
        (RGB_UM, 128, 128),
        (S2_UM, 128, 128),
        (S2_UM[::-1], 77, 300),
        ((5.405, 5.405), 64, 64),
        ((0.6,), 13, 12),
        (tuple(np.linspace(0.4, 2.4, 60)), 32, 32),
        ((0.842, 0.665), 200, 128),
    ],
    ids=["rgb", "s2", "s2 reversed", "radar", "one band", "hyperspectral", "two bands"],
)
def test_vectors_and_cells_equal_pytorch(tower, whole, wavelengths, height, width):
    rng = np.random.default_rng(height)
    pixels = rng.integers(0, 256, (3, len(wavelengths), height, width), np.uint8)
    pixels[1] //= 8
    np.testing.assert_allclose(
        tower.embed(pixels, wavelengths), whole.embed_pixels(pixels, wavelengths), atol=TOLERANCE
    )
    np.testing.assert_allclose(tower.dense(pixels, wavelengths), whole.dense(pixels, wavelengths), atol=TOLERANCE)


def test_a_tile_has_the_same_vector_in_any_batch(tower):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 3, 128, 128), np.uint8)
    together = tower.embed(pixels, RGB_UM)
    assert together.shape == (70, 384)
    np.testing.assert_allclose(together[[0, 63, 64, 69]], tower.embed(pixels[[0, 63, 64, 69]], RGB_UM), atol=1e-6)
    assert tower.embed(pixels[:0], RGB_UM).shape == (0, 384)


def test_bad_pixels_and_wavelengths_are_refused(tower):
    with pytest.raises(WavelengthError, match="found 2 for 3 bands"):
        tower.embed(np.zeros((1, 3, 8, 8), np.uint8), (0.6, 0.5))
    with pytest.raises(ValueError, match="need uint8"):
        tower.embed(np.zeros((1, 3, 8, 8), np.float32), RGB_UM)
    with pytest.raises(ValueError, match="at least one"):
        tower.dense(np.zeros((0, 3, 8, 8), np.uint8), RGB_UM)


def test_concatenated_trunks_and_sizes_with_partial_cells_equal_pytorch(tmp_path: Path):
    whole = model_of(tmp_path, "spectral_tf_efficientnet_lite0+tf_efficientnet_lite1+indices", image_size=112)
    tower = image_tower(find_model(f"local-dir:{tmp_path}"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, len(S2_UM), 90, 90), np.uint8)
    np.testing.assert_allclose(tower.embed(pixels, S2_UM), whole.embed_pixels(pixels, S2_UM), atol=TOLERANCE)
    np.testing.assert_allclose(tower.dense(pixels, S2_UM), whole.dense(pixels, S2_UM), atol=TOLERANCE)


def test_one_trunk_alone_equals_pytorch(tmp_path: Path):
    whole = model_of(tmp_path, "spectral_tf_efficientnet_lite0", image_size=128)
    tower = image_tower(find_model(f"local-dir:{tmp_path}"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 128, 128), np.uint8)
    np.testing.assert_allclose(tower.embed(pixels, RGB_UM), whole.embed_pixels(pixels, RGB_UM), atol=TOLERANCE)


def test_other_towers_and_damaged_weights_are_left_to_the_loader(tmp_path: Path):
    assert image_tower(find_model(f"local-dir:{TINY}")) is None
    folder = find_model("embedded").path
    shutil.copy(folder / CONFIG, tmp_path / CONFIG)
    for change in (
        lambda state: state.pop("visual.trunk.trunks.0.blocks.3.1.conv_dw.weight"),
        lambda state: state.update({"visual.trunk.trunks.0.blocks.9.9.unknown": np.zeros(3, np.float16)}),
        lambda state: state.pop("visual.head.proj.weight"),
    ):
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, tmp_path / WEIGHTS)
        assert image_tower(find_model(f"local-dir:{tmp_path}")) is None
    (tmp_path / WEIGHTS).write_bytes(b"no weights")
    assert image_tower(find_model(f"local-dir:{tmp_path}")) is None


def test_it_uses_as_many_threads_as_stated(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpu_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert cpu_threads() >= 1


def model_of(folder: Path, trunk: str, image_size: int):
    """A model with another image tower of random weights, and the embedded one's text tower."""
    import json

    import timm
    import torch
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    from bandsight.model.architecture import build_model

    embedded = find_model("embedded").path
    config = json.loads((embedded / CONFIG).read_text())
    config["model_cfg"]["vision_cfg"].update(timm_model_name=trunk, image_size=image_size)
    (folder / CONFIG).write_text(json.dumps(config))
    (folder / "text").symlink_to(embedded / "text")
    torch.manual_seed(0)
    model = build_model(config["model_cfg"], folder, {})
    for part in model.visual.modules():
        if isinstance(part, torch.nn.BatchNorm2d | timm.layers.BatchNormAct2d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.5, 2)
    state = load_torch(embedded / WEIGHTS)
    kept = {name: value for name, value in state.items() if not name.startswith("visual.")}
    visual = {name: value for name, value in model.state_dict().items() if name.startswith("visual.")}
    save_torch(kept | {name: value.contiguous() for name, value in visual.items()}, folder / WEIGHTS)
    return load_model(f"local-dir:{folder}", "cpu", check=False)
