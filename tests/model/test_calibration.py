import json

import numpy as np
import pytest

from bandsight.errors import ModelError
from bandsight.model import load_model
from bandsight.model.calibration import FILE, questions_entry, read_calibration, user_file
from bandsight.model.scoring import Imagery, Platt, family, radar_family

RGB, S2, SAR = (0.66, 0.56, 0.49), (0.49, 0.56, 0.665, 0.842), (5.405, 5.405)
DIGEST = "d" * 64


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BANDSIGHT_CALIBRATIONS", str(tmp_path / "own"))


def _write(path, families, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"families": families, **more}))


@pytest.mark.parametrize(
    ("wavelengths", "name"),
    [
        (RGB, "rgb"),
        ((0.55,), "rgb"),
        (S2, "multispectral"),
        (np.linspace(0.4, 2.5, 200).tolist(), "hyperspectral"),
        (SAR, "radar"),
        ((10.9, 12.0), "thermal"),
        ((2.2,), "multispectral"),
    ],
)
def test_bands_determine_the_family(wavelengths, name):
    assert family(wavelengths) == name


def test_the_frequency_tells_bands_of_radar():
    assert [radar_family(ghz) for ghz in (1.27, 5.405, 9.6, 35)] == ["radar_other", "radar", "radar_x", "radar_other"]


def test_a_family_without_a_calibration_has_no_probability_but_a_reason(tmp_path):
    none = read_calibration(tmp_path, DIGEST)
    assert none.of(RGB) is None
    assert none.reason(RGB) == "the model is not calibrated"
    _write(tmp_path / FILE, {"rgb": {"scale": 20, "bias": -4}})
    found = read_calibration(tmp_path, DIGEST)
    assert found.of(RGB) == Platt(scale=20, bias=-4)
    assert found.reason(RGB) is None
    assert found.of(SAR) is None
    assert found.reason(SAR) == "not calibrated for C-band radar"
    assert found.reason(Imagery(family="radar_x")) == "not calibrated for X-band radar"


def test_the_default_of_earlier_versions_is_read_and_ignored(tmp_path):
    families = {"rgb": {"scale": 20, "bias": -4, "threshold": 0.3}, "default": {"scale": 12, "bias": -6}}
    _write(tmp_path / FILE, families)
    found = read_calibration(tmp_path, DIGEST)
    assert found.of(RGB) == Platt(scale=20, bias=-4, threshold=0.3)
    assert found.of(SAR) is None
    np.testing.assert_allclose(found.of(RGB).probability(np.array([0.2, 0.25])), [0.5, 1 / (1 + np.exp(-1))], rtol=1e-6)


def test_a_calibration_is_valid_for_the_ground_sample_distances_of_its_training_data(tmp_path):
    _write(tmp_path / FILE, {"rgb": {"scale": 20, "bias": -4, "gsd_m": [0.2, 30]}, "thermal": {"scale": 9, "bias": -4}})
    found = read_calibration(tmp_path, DIGEST)
    assert found.of(Imagery(family="rgb", gsd_m=0.05)) is None
    reason = "not calibrated for red, green and blue images of 0.05 m per pixel, only for 0.2 to 30 m"
    assert found.reason(Imagery(family="rgb", gsd_m=0.05)) == reason
    for gsd_m in (None, 0.2, 10, 31):
        assert found.reason(Imagery(family="rgb", gsd_m=gsd_m)) is None
    assert found.of(Imagery(family="thermal", gsd_m=100))


def test_each_image_uses_the_calibration_of_its_family_even_if_two_are_equal(tiny):
    alike = {"scale": 20, "bias": -6, "threshold": 0.5}
    _write(tiny / FILE, {"rgb": alike, "radar": dict(alike), "multispectral": {"scale": 5, "bias": 1}})
    model = load_model(f"local-dir:{tiny}", "cpu", check=False)
    images = np.eye(model.dim, dtype=np.float32)[:5] * np.float32(0.3)
    texts = np.ones((1, model.dim), np.float32)
    found = model.probabilities.of(images @ texts.T, texts, [RGB, SAR, S2, RGB, (10.9,)])
    expected = 1 / (1 + np.exp(-np.array([0.0, 0.0, 2.5, 0.0, np.nan])))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)
    assert model.probabilities.threshold(SAR) == 0.5
    assert model.probabilities.threshold(S2) is None
    assert model.probabilities.threshold((10.9,)) is None
    assert model.probabilities.reason((10.9,)) == "not calibrated for thermal infrared imagery"


def test_the_models_logit_scale_and_bias_are_not_a_calibration(tiny):
    model = load_model(f"local-dir:{tiny}", "cpu", check=False)
    rows = np.zeros((1, model.dim), np.float32)
    assert np.isnan(model.probabilities.of(rows @ rows.T, rows, [RGB])).all()
    assert model.probabilities.reason(RGB) == "the model is not calibrated"
    assert 0 < model.probabilities.own(rows @ rows.T)[0, 0] < 1


def test_a_model_without_a_bias_is_loaded_and_has_no_probabilities(tiny, change, configure):
    configure(lambda config: config["model_cfg"].pop("init_logit_bias"))
    source = change(lambda state: {key: value for key, value in state.items() if key != "logit_bias"})
    model = load_model(source, "cpu", check=False)
    rows = np.zeros((1, model.dim), np.float32)
    with pytest.raises(ModelError, match=r"no logit bias .* fit a calibration: bandsight calibrate"):
        model.probabilities.own(rows @ rows.T)
    assert np.isnan(model.probabilities.of(rows @ rows.T, rows, [RGB])).all()
    _write(tiny / FILE, {"rgb": {"scale": 10, "bias": 0}})
    assert load_model(source, "cpu", check=False).probabilities.of(rows @ rows.T, rows, [RGB]).tolist() == [[0.5]]


def test_the_users_own_calibration_takes_precedence_family_by_family(tmp_path):
    _write(tmp_path / FILE, {"rgb": {"scale": 20, "bias": -4}, "radar": {"scale": 9, "bias": -3}})
    _write(user_file(DIGEST), {"rgb": {"scale": 7, "bias": -1}}, model_digest=DIGEST)
    assert user_file(DIGEST) == tmp_path / "own" / f"{DIGEST}.json"
    found = read_calibration(tmp_path, DIGEST)
    assert (found.of(RGB).scale, found.of(SAR).scale) == (7, 9)
    assert read_calibration(tmp_path, "e" * 64).of(RGB).scale == 20


def test_calibrations_of_other_backgrounds_are_not_mixed(tmp_path):
    own, shipped = user_file(DIGEST), tmp_path / FILE
    _write(shipped, {"rgb": {"scale": 20, "bias": -4}}, background={"mean": [0.5, 0.0]})
    assert read_calibration(tmp_path, DIGEST).background.tolist() == [0.5, 0.0]
    _write(own, {"radar": {"scale": 9, "bias": -3}}, background={"mean": [0.5, 0.0]})
    assert set(read_calibration(tmp_path, DIGEST).families) == {"rgb", "radar"}
    for other in ({}, {"background": {"mean": [0.1, 0.0]}}):
        _write(own, {"radar": {"scale": 9, "bias": -3}}, **other)
        with pytest.raises(ModelError, match=r"another background .*; delete .* and run bandsight calibrate again"):
            read_calibration(tmp_path, DIGEST)
    shipped.unlink()
    assert read_calibration(tmp_path, DIGEST).background.tolist() == pytest.approx([0.1, 0.0])


def test_a_background_of_another_length_is_refused(tiny):
    _write(tiny / FILE, {"rgb": {"scale": 20, "bias": -4}}, background={"mean": [0.5, 0.0]})
    with pytest.raises(ModelError, match="a background vector of length 2"):
        load_model(f"local-dir:{tiny}", "cpu", check=False)


def test_the_users_calibrations_lie_in_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("BANDSIGHT_CALIBRATIONS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_file("a") == tmp_path / "bandsight" / "calibrations" / "a.json"


def test_a_calibration_of_other_weights_is_refused(tiny, tmp_path):
    _write(tiny / FILE, {"rgb": {"scale": 20, "bias": -4}}, model_digest="0" * 64)
    with pytest.raises(ModelError, match=r"calibration\.json: fitted for a model with other weights \(000000000000, "):
        load_model(f"local-dir:{tiny}", "cpu", check=False)
    _write(user_file(DIGEST), {}, model_digest="0" * 64)
    with pytest.raises(ModelError, match="delete it and run bandsight calibrate"):
        read_calibration(tmp_path, DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"families": {"rgb": {"scale": 1}}}',
        '{"families": []}',
        "[]",
        '{"families": {"rgb": {"scale": NaN, "bias": 0}}}',
        '{"families": {"rgb": {"scale": "inf", "bias": 0}}}',
        '{"families": {"rgb": {"scale": -3, "bias": 0}}}',
        '{"families": {"rgb": {"scale": 3, "bias": 0, "gsd_m": [3, 1]}}}',
        '{"families": {}, "background": {"mean": [[1]]}}',
        '{"families": {}, "background": {"mean": [NaN]}}',
        '{"families": {}, "background": {}}',
    ],
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=r"calibration\.json: not a calibration"):
        read_calibration(tmp_path, DIGEST)


def test_an_unknown_family_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"families": {"sonar": {"scale": 1, "bias": 0}}}')
    with pytest.raises(ModelError, match="sonar"):
        read_calibration(tmp_path, DIGEST)


def test_a_calibration_on_few_classes_covers_only_similar_queries(tiny):
    dim = load_model(f"local-dir:{tiny}", "cpu", check=False).dim
    lake, wood, airport = np.eye(dim, dtype=np.float32)[:3]
    asked = questions_entry(["a lake", "a wood"], np.stack([lake, wood]), 0.4)
    _write(tiny / FILE, {"multispectral": {"scale": 5, "bias": 0, "questions": asked}, "rgb": {"scale": 5, "bias": 0}})
    meaning = load_model(f"local-dir:{tiny}", "cpu", check=False).probabilities
    pond = (0.5 * lake + np.sqrt(0.75) * airport).astype(np.float32)
    found = meaning.of(np.zeros((2, 3), np.float32), np.stack([lake, airport, pond]), [S2, RGB])
    np.testing.assert_array_equal(found, [[0.5, np.nan, 0.5], [0.5, 0.5, 0.5]])
    assert meaning.reason(S2, airport) == "not calibrated for this kind of question about multispectral imagery"
    assert meaning.reason(S2, pond) is meaning.reason(S2) is meaning.reason(RGB, airport) is None


@pytest.mark.parametrize("damage", [{"vectors": "no base64!"}, {"vectors": ""}, {"least_cosine": 2}])
def test_damaged_questions_are_an_error_that_names_the_file(tmp_path, damage):
    asked = questions_entry(["a lake"], np.ones((1, 4), np.float32), 0.4) | damage
    _write(tmp_path / FILE, {"rgb": {"scale": 5, "bias": 0, "questions": asked}})
    with pytest.raises(ModelError, match="not a calibration"):
        read_calibration(tmp_path, DIGEST)
