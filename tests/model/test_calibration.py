import json

import numpy as np
import pytest

from bandsight.errors import ModelError
from bandsight.model import load_model
from bandsight.model.calibration import FILE, Platt, family, read_calibration

BUILTIN = Platt(scale=10, bias=-5)
RGB, S2, SAR = (0.66, 0.56, 0.49), (0.49, 0.56, 0.665, 0.842), (5.405, 5.405)


@pytest.mark.parametrize(
    ("wavelengths", "name"),
    [
        (RGB, "rgb"),
        ((0.55,), "rgb"),
        (S2, "multispectral"),
        (np.linspace(0.4, 2.5, 200).tolist(), "multispectral"),
        (SAR, "radar"),
        ((10.9, 12.0), "thermal"),
        ((2.2,), "multispectral"),
    ],
)
def test_bands_determine_the_family(wavelengths, name):
    assert family(wavelengths) == name


def test_without_a_file_there_is_no_calibration_and_without_a_default_the_models_bias_applies(tmp_path):
    assert read_calibration(tmp_path, BUILTIN) is None
    (tmp_path / FILE).write_text('{"families": {"rgb": {"scale": 20, "bias": -4}}}')
    assert read_calibration(tmp_path, BUILTIN).of(SAR) == BUILTIN
    with pytest.raises(ModelError, match="no family 'default'"):
        read_calibration(tmp_path, None)


def test_each_image_uses_the_calibration_of_its_family_even_if_two_are_equal(tiny):
    alike = {"scale": 20, "bias": -6, "threshold": 0.5}
    families = {"rgb": alike, "radar": dict(alike), "multispectral": {"scale": 5, "bias": 1}}
    (tiny / FILE).write_text(json.dumps({"families": families}))
    model = load_model(f"local-dir:{tiny}", "cpu", check=False)
    images = np.eye(model.dim, dtype=np.float32)[:4] * np.float32(0.3)
    texts = np.ones((1, model.dim), np.float32)
    found = model.probabilities(images, texts, [RGB, SAR, S2, RGB])
    expected = 1 / (1 + np.exp(-np.array([0.0, 0.0, 2.5, 0.0])))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)
    assert model.threshold(SAR) == 0.5
    assert model.threshold(S2) is None


def test_a_model_without_a_bias_needs_the_file(tiny, change, configure):
    configure(lambda config: config["model_cfg"].pop("init_logit_bias"))
    source = change(lambda state: {key: value for key, value in state.items() if key != "logit_bias"})
    with pytest.raises(ModelError, match=r"no logit bias .* or a calibration\.json in its folder"):
        load_model(source, "cpu", check=False)
    (tiny / FILE).write_text('{"families": {"default": {"scale": 10, "bias": 0}}}')
    found = load_model(source, "cpu", check=False).probabilities(np.zeros((1, 2)), np.zeros((1, 2)))
    assert found.tolist() == [[0.5]]


def test_families_without_an_entry_use_the_default(tmp_path):
    families = {"rgb": {"scale": 20, "bias": -4, "threshold": 0.3}, "default": {"scale": 12, "bias": -6}}
    (tmp_path / FILE).write_text(json.dumps({"families": families}))
    found = read_calibration(tmp_path, BUILTIN)
    assert found.of(RGB) == Platt(scale=20, bias=-4, threshold=0.3)
    assert found.of(SAR) == Platt(scale=12, bias=-6)
    np.testing.assert_allclose(found.of(RGB).probability(np.array([0.2, 0.25])), [0.5, 1 / (1 + np.exp(-1))], rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"families": {"rgb": {"scale": 1}}}',
        '{"families": []}',
        "[]",
        '{"families": {"rgb": {"scale": NaN, "bias": 0}}}',
        '{"families": {"rgb": {"scale": "inf", "bias": 0}}}',
    ],
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=r"calibration\.json: not a calibration"):
        read_calibration(tmp_path, BUILTIN)


def test_an_unknown_family_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"families": {"sonar": {"scale": 1, "bias": 0}}}')
    with pytest.raises(ModelError, match="sonar"):
        read_calibration(tmp_path, BUILTIN)
