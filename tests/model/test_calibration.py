import json

import numpy as np
import pytest

from bandsight.errors import ModelError
from bandsight.model.calibration import FILE, Platt, family, read_calibration

OWN = Platt(scale=10, bias=-5)
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
def test_bands_belong_to_a_family(wavelengths, name):
    assert family(wavelengths) == name


def test_without_a_file_the_models_own_scale_and_bias_hold_for_all(tmp_path):
    found = read_calibration(tmp_path, OWN)
    assert found.of(RGB) == found.of(SAR) == OWN
    assert found.of(RGB).threshold is None


def test_a_family_has_its_own_and_the_others_the_default(tmp_path):
    said = {"rgb": {"scale": 20, "bias": -4, "threshold": 0.3}, "default": {"scale": 12, "bias": -6}}
    (tmp_path / FILE).write_text(json.dumps({"families": said}))
    found = read_calibration(tmp_path, OWN)
    assert found.of(RGB) == Platt(scale=20, bias=-4, threshold=0.3)
    assert found.of(SAR) == Platt(scale=12, bias=-6)
    np.testing.assert_allclose(found.of(RGB).probability(np.array([0.2, 0.25])), [0.5, 1 / (1 + np.exp(-1))], rtol=1e-6)


@pytest.mark.parametrize("text", ["{", '{"families": {"rgb": {"scale": 1}}}', '{"families": []}', "[]"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=r"calibration\.json: not a calibration"):
        read_calibration(tmp_path, OWN)


def test_an_unknown_family_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"families": {"sonar": {"scale": 1, "bias": 0}}}')
    with pytest.raises(ModelError, match="sonar"):
        read_calibration(tmp_path, OWN)
