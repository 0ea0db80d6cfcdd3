"""Golden values from the original implementation of DOFA-CLIP."""

import numpy as np
import pytest
import torch

from bandsight.errors import WavelengthError
from bandsight.model import load_model
from bandsight.model.architecture import wavelength_inputs
from bandsight.model.preprocess import Preprocess
from tests.model.conftest import TINY

CASES = ("rgb", "s2_9", "mono", "sar2", "s2_12", "hyper50", "bgr")


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(TINY / "golden.npz"))


@pytest.fixture(scope="module")
def model():
    return load_model(f"local-dir:{TINY}", "cpu", check=False)


@pytest.mark.parametrize("case", CASES)
def test_image_vectors_and_probabilities_equal_the_original(model, golden, case):
    waves = golden[f"{case}/wvs"].tolist()
    vectors = model.encode_image(torch.from_numpy(golden[f"{case}/image"]), waves, normalize=True).numpy()
    np.testing.assert_allclose(vectors, golden[f"{case}/embedding_norm"], atol=1e-5)
    found = model.probabilities.own(vectors @ golden["text_embedding_norm"].T)
    np.testing.assert_allclose(found, golden[f"{case}/probs"], atol=1e-5)


def test_text_vectors_equal_the_original(model, golden):
    found = model.encode_text(torch.from_numpy(golden["token_ids"]), normalize=True).numpy()
    np.testing.assert_allclose(found, golden["text_embedding_norm"], atol=1e-5)


def test_generated_kernels_equal_the_original(model, golden):
    found = 0
    for case in CASES:
        if f"{case}/kernel" in golden:
            (stage,) = wavelength_inputs(model._model)
            with torch.inference_mode():
                kernel, bias = stage.generate(torch.tensor(golden[f"{case}/wvs"], dtype=torch.float32))
            np.testing.assert_allclose(kernel.numpy(), golden[f"{case}/kernel"], atol=5e-5)
            np.testing.assert_allclose(bias.numpy(), golden[f"{case}/bias"], atol=5e-5)
            found += 1
    assert found


def test_wavelengths_in_nanometres_are_rejected_because_they_give_wrong_vectors(model, golden):
    nanometres = (golden["rgb/wvs"] * 1000).tolist()
    with pytest.raises(WavelengthError, match="looks like nanometres; need µm, so divide by 1000"):
        model.encode_image(torch.from_numpy(golden["rgb/image"]), nanometres)
    right = model.encode_image(torch.from_numpy(golden["rgb/image"]), golden["rgb/wvs"].tolist()).numpy()
    assert np.abs(right - golden["rgb/embedding_wrong_wvs_in_nm"]).max() > 1e-3


def test_band_order_does_not_matter_if_wavelengths_follow(model, golden):
    order = [4, 0, 8, 2, 1, 7, 3, 6, 5]
    image, waves = golden["s2_9/image"], golden["s2_9/wvs"]
    found = model.encode_image(torch.from_numpy(image[:, order].copy()), waves[order].tolist(), normalize=True)
    np.testing.assert_allclose(found.numpy(), golden["s2_9/embedding_norm"], atol=1e-5)


@pytest.mark.parametrize("mode", ["squash", "shortest"])
@pytest.mark.parametrize("size", [48, 60])
def test_preprocessing_equals_the_original_bit_for_bit(mode, size):
    golden_preprocessing = np.load(TINY / "preprocess.npz")
    preprocess = Preprocess(size=size, mean=0.5, std=0.5, interpolation="bicubic", resize_mode=mode)
    resized = preprocess.resized(golden_preprocessing["uint8_hwc"].transpose(2, 0, 1)[None])
    found = preprocess.scaled(torch.from_numpy(resized))[0].numpy()
    np.testing.assert_array_equal(found, golden_preprocessing[f"{mode}_{size}"])


@pytest.mark.parametrize(
    ("waves", "message"),
    [
        ((0.665, 0.56), "found 2 for 3 bands"),
        ((), "found none"),
        ((0.665, 0.56, 0.0), "not a wavelength"),
        ((0.665, -0.56, 0.49), "not a wavelength"),
        ((0.665, float("nan"), 0.49), "not a wavelength"),
        ((665, 560, 490), "looks like nanometres"),
        ((0.665, 0.56, 0.19), "not a wavelength of light or heat"),
        ((0.665, 0.56, 301), "looks like nanometres"),
        ((55465.8, 0.56, 0.49), "for radar the code 5.405"),
    ],
)
def test_invalid_wavelengths_are_rejected(model, waves, message):
    with pytest.raises(WavelengthError, match=message):
        model.embed_pixels(np.zeros((1, 3, 48, 48), np.uint8), waves)


@torch.inference_mode()
def test_a_patch_is_pooled_through_the_value_path(model, golden):
    image, waves = torch.from_numpy(golden["rgb/image"]), golden["rgb/wvs"].tolist()
    found = model.encode_dense(image, waves)
    assert found.shape == (len(image), 3, 3, model.dim)
    trunk = model._model.visual.trunk
    wavelength_inputs(trunk)[0].use(waves)
    tokens, pool = trunk.forward_features(image), trunk.attn_pool
    value = pool.proj(pool.kv(tokens).chunk(2, dim=-1)[1])
    expected = value + pool.mlp(pool.norm(value))
    torch.testing.assert_close(found.flatten(1, 2), expected, rtol=1e-5, atol=1e-6)


def test_kernels_are_cached_per_list_of_wavelengths(golden, monkeypatch):
    model = load_model(f"local-dir:{TINY}", "cpu", check=False)
    (stage,) = wavelength_inputs(model._model)
    generated = []
    real = stage.generate
    monkeypatch.setattr(stage, "generate", lambda waves: generated.append(tuple(waves.tolist())) or real(waves))
    for _ in range(3):
        for case in ("rgb", "bgr", "s2_9"):
            model.encode_image(torch.from_numpy(golden[f"{case}/image"]), golden[f"{case}/wvs"].tolist())
    assert len(generated) == 3
