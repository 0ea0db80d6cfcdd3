import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bandsight.errors import ModelError
from bandsight.model import load_model
from bandsight.model.checkpoint import ROW_SCALE
from bandsight.model.loader import pick_device
from tests.model.conftest import TINY, WEIGHTS

RGB = (0.665, 0.56, 0.49)


def load(source):
    return load_model(source, "cpu", check=False)


def vectors(model):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 48, 48), np.uint8)
    return model.embed_pixels(pixels, RGB)


@pytest.fixture(scope="module")
def expected():
    return vectors(load(f"local-dir:{TINY}"))


def test_heads_used_only_in_training_are_ignored(change, expected):
    source = change(lambda state: {**state, "translators.dino.weight": torch.zeros(2, 2)})
    np.testing.assert_array_equal(vectors(load(source)), expected)


def test_prefixes_of_distributed_training_are_ignored(change, expected):
    source = change(lambda state: {f"module.{key}": value for key, value in state.items()})
    np.testing.assert_array_equal(vectors(load(source)), expected)


def test_a_training_checkpoint_in_bin_form_loads(tiny, expected):
    state = {f"module.{key}": value for key, value in load_file(tiny / WEIGHTS).items()}
    torch.save({"epoch": 3, "state_dict": state}, tiny / "open_clip_pytorch_model.bin")
    (tiny / WEIGHTS).unlink()
    np.testing.assert_array_equal(vectors(load(f"local-dir:{tiny}")), expected)


def test_half_precision_weights_are_converted_to_float32(change, expected):
    model = load(change(lambda state: {key: value.half() for key, value in state.items()}))
    assert {parameter.dtype for parameter in model._model.parameters()} == {torch.float32}
    np.testing.assert_allclose(vectors(model), expected, atol=2e-2)


def test_a_dropped_text_key_is_an_error_that_names_it(change):
    key = next(k for k in load_file(TINY / WEIGHTS) if k.startswith("text.") and "attn" in k)
    source = change(lambda state: {k: v for k, v in state.items() if k != key})
    with pytest.raises(ModelError, match=rf"lacks 1 key\(s\): {key}"):
        load(source)


def test_an_unknown_key_and_a_wrong_shape_are_errors_that_name_them(change):
    with pytest.raises(ModelError, match=r"unknown 1 key\(s\): visual.extra"):
        load(change(lambda state: {**state, "visual.extra": torch.zeros(1)}))
    with pytest.raises(ModelError, match=r"logit_scale is \(2,\), need \(\)"):
        load(change(lambda s: {k: v for k, v in s.items() if k != "visual.extra"} | {"logit_scale": torch.zeros(2)}))


def test_damaged_weights_are_named(tiny):
    (tiny / WEIGHTS).write_bytes((tiny / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        load(f"local-dir:{tiny}")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": [1]}, {"epoch": 3}])
def test_a_file_without_named_tensors_is_an_error(tiny, content):
    torch.save(content, tiny / "open_clip_pytorch_model.bin")
    (tiny / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="values other than named tensors"):
        load(f"local-dir:{tiny}")


def test_int8_matrices_and_row_factors_must_come_in_pairs(change):
    key = next(k for k in load_file(TINY / WEIGHTS) if k.endswith("mlp.fc1.weight"))
    with pytest.raises(ModelError, match=rf"1 int8 matrices .*: {key};"):
        load(change(lambda state: {**state, key: state[key].to(torch.int8)}))
    with pytest.raises(ModelError, match=rf"row factors without a matrix: {key}:row_scale;"):
        load(change(lambda state: {**state, key: state[key].float(), key + ROW_SCALE: torch.ones(1)}))


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config["model_cfg"]["vision_cfg"].pop("image_size"),
        lambda config: config["model_cfg"]["vision_cfg"].update(image_size="wide"),
        lambda config: config["model_cfg"].pop("embed_dim"),
        lambda config: config.update(preprocess_cfg={"mean": "white"}),
        lambda config: config.update(model_cfg=[]),
    ],
)
def test_an_invalid_config_is_named(configure, edit):
    source = configure(edit)
    with pytest.raises(ModelError, match=r"tiny.*(config)"):
        load(source)


def test_a_missing_text_folder_is_not_looked_up_on_the_hub(configure):
    source = configure(lambda config: config["model_cfg"]["text_cfg"].update(hf_model_name="./words"))
    with pytest.raises(ModelError, match="no folder words, which hf_model_name names"):
        load(source)


def test_a_downloaded_model_states_its_licence_where_known(tiny, configure):
    assert load(f"local-dir:{tiny}").license == "unknown; CC-BY-NC-4.0 if these are weights of DOFA-CLIP"
    assert load(configure(lambda config: config.update(bandsight={"license": "MIT"}))).license == "MIT"


def test_missing_files_are_named(tiny, tmp_path):
    (tiny / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="no weights in"):
        load(f"local-dir:{tiny}")
    with pytest.raises(ModelError, match=r"no open_clip_config\.json"):
        load(f"local-dir:{tmp_path}")


def test_an_unknown_trunk_needs_dimensions_in_trunk_args(tiny):
    load(f"local-dir:{tiny}")  # The dimensions of one folder must not stay registered for the next.
    (tiny / "trunk_args.json").unlink()
    with pytest.raises(ModelError, match=r"put its dimensions under 'dofa_vit_tiny_patch16_siglip_48' in trunk_args"):
        load(f"local-dir:{tiny}")


def test_a_trunk_for_rgb_only_is_an_error(configure):
    source = configure(lambda config: config["model_cfg"]["vision_cfg"].update(timm_model_name="vit_base_patch16_224"))
    with pytest.raises(ModelError, match="takes RGB only"):
        load(source)


def test_an_unknown_source_names_the_kinds_of_sources():
    with pytest.raises(ModelError, match=r"need 'embedded', 'hf-hub:OWNER/NAME'"):
        load("ViT-B-32")


def test_without_a_network_the_error_suggests_a_local_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="pass local-dir:PATH"):
        load("hf-hub:earthflow/GeoLB-ViT-14-SigLIP-so400m-384-EO")


@pytest.mark.parametrize("name", ["GeoLB-ViT-14-SigLIP-so400m-384-EO", "GeoLB-ViT-B-16-SigLIP"])
def test_a_hub_model_is_downloaded_and_has_the_licence_of_its_publisher(monkeypatch, expected, name):
    repositories = []
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda repository, **_: repositories.append(repository) or str(TINY)
    )
    model = load(f"hf-hub:earthflow/{name}")
    assert repositories == [f"earthflow/{name}"]
    assert model.license == "CC-BY-NC-4.0"
    np.testing.assert_array_equal(vectors(model), expected)


def test_the_hub_cache_works_without_a_network(monkeypatch, tmp_path, expected):
    commit = "0" * 40
    home = tmp_path / "models--earthflow--tiny"
    shutil.copytree(TINY, home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    np.testing.assert_array_equal(vectors(load("hf-hub:earthflow/tiny")), expected)


def test_the_digest_depends_on_weights_and_preprocessing(tiny, change, configure):
    before = load(f"local-dir:{tiny}").digest
    assert load(f"local-dir:{TINY}").digest == before
    changed = load(configure(lambda config: config["preprocess_cfg"].update(interpolation="bilinear"))).digest
    assert changed != before
    source = change(lambda state: {**state, "logit_bias": state["logit_bias"] + 1})
    assert load(source).digest not in {before, changed}


def test_an_unavailable_device_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ModelError, match="found 0 CUDA devices; pass cpu or auto"):
        pick_device("cuda")
    with pytest.raises(ModelError, match="need auto, cpu, cuda"):
        pick_device("quantum")
    with pytest.raises(ModelError, match="need auto, cpu, cuda"):
        pick_device("meta")
    assert pick_device("auto").type == "cpu"
