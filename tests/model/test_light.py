"""The embedded model on a CPU runs without PyTorch and gives the vectors that PyTorch gives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.errors import ModelError
from bandsight.model import load_for_queries, load_model
from bandsight.model.folder import find_model
from bandsight.model.image_tower import image_tower
from bandsight.model.light import LightEncoder
from bandsight.model.loader import load_model as load_into_torch
from bandsight.model.text_tower import text_tower
from bandsight.search.recall_queries import sentences
from tests import rasters
from tests.archive.makers import entry
from tests.model.conftest import TINY

ODD = ["", "Ünïcode Straße", "&amp;amp; lake \n\t x", "日本の湖", "a " * 200, "🙂 boats", "“quoted” – text", "mÃ¼ll"]
HEAVY = ("torch", "open_clip", "timm", "transformers", "onnx", "onnxruntime", "torchvision", "psycopg")
RUNTIME = ["onnx", "onnxruntime"]


@pytest.fixture(scope="module")
def whole():
    return load_into_torch("embedded", "cpu", check=False)


@pytest.fixture(scope="module")
def light():
    return load_for_queries("embedded", "cpu")


def test_sentences_have_the_vectors_of_the_whole_model(whole, light):
    assert isinstance(light, LightEncoder)
    texts = [*sentences()[::7], *ODD]
    np.testing.assert_allclose(light.embed_texts(texts), whole.embed_texts(texts), atol=1e-5)
    one_by_one = np.concatenate([light.embed_texts([text]) for text in texts[-9:]])
    np.testing.assert_allclose(one_by_one, whole.embed_texts(texts)[-9:], atol=1e-5)
    assert light.embed_texts([]).shape == (0, whole.dim)


def test_it_is_the_same_model_with_the_same_probabilities(whole, light):
    for name in ("name", "digest", "license", "dim", "image_size", "gsd_m"):
        assert getattr(light, name) == getattr(whole, name)
    np.testing.assert_array_equal(light.background, whole.background)
    images, texts = np.eye(3, whole.dim, dtype=np.float32), whole.embed_texts(["a lake", "a road"])
    cosines = images @ texts.T
    np.testing.assert_allclose(light.probabilities.own(cosines), whole.probabilities.own(cosines), atol=1e-6)
    families = [(0.665, 0.56, 0.49), (5.405,), tuple(np.linspace(0.4, 2.4, 60))]
    np.testing.assert_array_equal(
        light.probabilities.of(cosines, texts, families), whole.probabilities.of(cosines, texts, families)
    )
    for family in families:
        assert light.probabilities.threshold(family) == whole.probabilities.threshold(family)
        assert light.probabilities.reason(family) == whole.probabilities.reason(family)


def test_an_image_loads_the_whole_model_once_if_the_image_tower_is_unsupported(whole):
    loads = []
    tower, logits = text_tower(find_model("embedded"))
    light = LightEncoder("embedded", lambda: loads.append(1) or whole, tower, logits, images=lambda _: None)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 128, 128), np.uint8)
    for _ in range(2):
        np.testing.assert_allclose(
            light.embed_pixels(pixels, (0.665, 0.56, 0.49)), whole.embed_pixels(pixels, (0.665, 0.56, 0.49)), atol=1e-6
        )
    assert len(loads) == 1
    assert light.dense(pixels, (0.665, 0.56, 0.49)).shape == (2, 4, 4, whole.dim)


def test_on_a_cpu_the_model_of_jobs_and_evaluations_is_the_light_one():
    light = load_model("embedded", "cpu")
    assert isinstance(light, LightEncoder)
    assert light.device == "cpu"
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 100, 90), np.uint8)
    pending = light.begin_pixels(pixels, (0.665, 0.56, 0.49))
    assert pending.done()
    np.testing.assert_array_equal(pending.result(), light.embed_pixels(pixels, (0.665, 0.56, 0.49)))
    np.testing.assert_array_equal(pending.result(), light.embed_pixels(light.resized(pixels), (0.665, 0.56, 0.49)))
    assert not isinstance(load_model(f"local-dir:{TINY}", "cpu", check=False), LightEncoder)


def test_weights_that_confuse_water_with_forest_are_rejected_with_the_first_image():
    class Upside:
        """Gives every image the other one's vector."""

        def embed(self, pixels, wavelengths):
            return image_tower(find_model("embedded")).embed(pixels[::-1].copy(), wavelengths)

    tower, logits = text_tower(find_model("embedded"))
    light = LightEncoder("embedded", lambda: None, tower, logits, images=lambda _: Upside())
    with pytest.raises(ModelError, match="confuses water with forest"):
        light.embed_pixels(np.zeros((1, 3, 128, 128), np.uint8), (0.665, 0.56, 0.49))


def test_other_models_and_gpus_are_loaded_whole():
    tiny = f"local-dir:{TINY}"
    assert text_tower(find_model(tiny)) is None
    with pytest.raises(ModelError, match=r"(CUDA|cuda)"):
        load_for_queries("embedded", "cuda:99")


def test_damaged_files_are_reported_as_when_the_whole_model_is_loaded(tmp_path: Path):
    folder = find_model("embedded").path
    for name in ("open_clip_config.json", "text"):
        (tmp_path / name).symlink_to(folder / name)
    weights = tmp_path / "open_clip_model.safetensors"
    weights.write_bytes((folder / weights.name).read_bytes()[:100_000])
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        load_for_queries(f"local-dir:{tmp_path}", "cpu")
    state = load_file(folder / weights.name)
    del state["text.transformer.encoder.layer.3.output.dense.bias"]
    save_file(state, weights)
    with pytest.raises(ModelError, match=r"lacks .*layer\.3\.output\.dense\.bias"):
        load_for_queries(f"local-dir:{tmp_path}", "cpu")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search", "--archive", "ARCHIVE", "a lake"], RUNTIME),
        (["status", "--archive", "ARCHIVE"], []),
        (["sensors", "list"], []),
    ],
    ids=["search", "status", "sensors"],
)
def test_commands_that_embed_no_image_do_not_import_pytorch(arguments, expected, tmp_path):
    archive = archive_of_embedded(tmp_path)
    words = [str(archive) if word == "ARCHIVE" else word for word in arguments]
    imported = run(f"from bandsight.cli.entry_point import main\nsys.argv[1:] = {words!r}\nmain()")
    assert imported == expected


def test_a_server_searches_by_sentence_without_pytorch(tmp_path):
    archive = archive_of_embedded(tmp_path)
    imported = run(
        f"""
from pathlib import Path
from fastapi.testclient import TestClient
from search_api.app import create_app
from search_api.settings import ApiSettings
with TestClient(create_app(ApiSettings(archive=Path({str(archive)!r})))) as client:
    answer = client.post("/search", json={{"semantic": {{"positive": [{{"text": "a lake"}}]}}, "limit": 2}})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["features"]) == 2
"""
    )
    assert imported == RUNTIME


def test_a_search_by_image_imports_onnx_runtime_but_not_pytorch(tmp_path):
    archive, picture = archive_of_embedded(tmp_path), picture_in(tmp_path)
    words = ["search", "--archive", str(archive), "--image", str(picture)]
    assert run(f"from bandsight.cli.entry_point import main\nsys.argv[1:] = {words!r}\nmain()") == RUNTIME


def test_indexing_imports_onnx_runtime_but_not_pytorch(tmp_path):
    rasters.write(tmp_path / "scene.tif", rasters.picture(3, 256, 256))
    words = ["index", str(tmp_path / "scene.tif"), "--archive", str(tmp_path / "a"), "--device", "cpu", "--quiet"]
    assert run(f"from bandsight.cli.entry_point import main\nsys.argv[1:] = {words!r}\nmain()") == RUNTIME


def test_a_server_searches_by_image_without_pytorch(tmp_path):
    archive, picture = archive_of_embedded(tmp_path), picture_in(tmp_path)
    imported = run(
        f"""
from pathlib import Path
from fastapi.testclient import TestClient
from search_api.app import create_app
from search_api.settings import ApiSettings
with TestClient(create_app(ApiSettings(archive=Path({str(archive)!r})))) as client:
    answer = client.post("/search", files={{"image": Path({str(picture)!r}).read_bytes()}})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["features"]) == 3
"""
    )
    assert imported == RUNTIME


def picture_in(folder: Path) -> Path:
    """A PNG of noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    return folder / "picture.png"


def archive_of_embedded(folder: Path) -> Path:
    """An archive of a few tiles whose model is the embedded one."""
    found = find_model("embedded")
    dim = found.config["model_cfg"]["embed_dim"]
    identity = ModelIdentity(name="embedded", digest=found.digest(), dim=dim, license=found.license)
    scene, tiles, _ = entry(1, 3)
    vectors = np.eye(3, dim, dtype=np.float32)
    with ArchiveWriter.create(folder / "a", identity) as archive:
        archive.add([(scene, tiles, vectors)])
    return folder / "a"


def run(code: str) -> list[str]:
    """Run code in a fresh process; return which heavy libraries it imported."""
    shown = (
        "import sys, json, atexit\n"
        f"atexit.register(lambda: print('IMPORTED ' + json.dumps([n for n in {HEAVY!r} if n in sys.modules])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", shown + code], capture_output=True, text=True, timeout=300, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED ")]
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(lines[-1].removeprefix("IMPORTED "))
    return found
