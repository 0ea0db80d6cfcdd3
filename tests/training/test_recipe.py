"""The recipe's parts that need neither data nor pretrained weights."""

import numpy as np
import pytest
import torch

from training.augment import mosaic, random_air, random_light, random_views
from training.evaluate import NEW_WORDS
from training.ground import ground
from training.losses import Memory, agreement, contrast, wordings
from training.measured import Measured
from training.parts import PARTS, part_of
from training.prompts import class_prompts, keywords, label_prompts, rephrased, vocabulary
from training.scenes import make_stack
from training.sentences import Meaning, Sentences
from training.simulate import add_clouds, add_snow, fractal, radar_look, relief
from training.spectra import WATER, imitate
from training.student import Student, follow
from training.train import rate_of_learning

RULES = {
    "wavelengths": [0.49, 0.56, 0.665, 0.842],
    "water": 0.1,
    "vegetation": 0.4,
    "labels": {"water": "water", "shore": "coast", "vegetation": "forest", "other": "bare"},
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_labels_of_scenes_and_painted_weather_have_words():
    labels = vocabulary()["labels"]
    assert {"cloud", "some_cloud", "snow", "mountains_relief", "hills_relief", "flat_relief"} <= set(labels)
    assert all(label_prompts(label) for label in labels)
    assert "an aerial photo of marina" in class_prompts("harbor")


def test_keywords_keep_what_a_hurried_person_types():
    assert keywords("there are many planes parked on the apron") == "planes parked apron"
    assert keywords("it is") == "it is"


def test_a_caption_in_other_words_keeps_what_it_shows():
    caption = "many planes are parked near a large airport"
    said = {rephrased(caption, np.random.default_rng(seed)) for seed in range(200)}
    assert len(said) > 50
    assert any("aircraft" in text for text in said)
    assert any(text.startswith("show me") for text in said)
    shown = {"planes", *vocabulary()["words"]["planes"]}
    assert all(any(word in text for word in shown) for text in said)
    assert rephrased(caption, rng()) == rephrased(caption, rng())


def test_no_words_are_taught_by_which_new_words_are_measured():
    said = vocabulary()
    phrases = [phrase for table in ("classes", "labels", "words") for row in said[table].values() for phrase in row]
    taught = {word.removesuffix("s") for phrase in phrases for word in phrase.split()}
    assert not taught & set(NEW_WORDS)


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


def test_weather_covers_as_much_as_it_should():
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


def test_radar_sees_roughness():
    views = torch.full((1, 3, 64, 64), 0.4)
    views[..., 32:] += torch.from_numpy(rng().normal(0, 0.2, (1, 3, 64, 32)).astype(np.float32))
    seen = radar_look(views.clamp(0, 1), rng(), 2)
    assert seen.shape == (1, 2, 64, 64)
    assert seen[..., 36:].mean() > seen[..., :28].mean() + 0.1


def test_relief_is_as_high_as_its_name():
    tiles, labels = relief(30, 32, rng())
    spans = (tiles.amax(dim=(1, 2, 3)) - tiles.amin(dim=(1, 2, 3))).tolist()
    by_label = {name: [s for s, label in zip(spans, labels, strict=True) if label == name] for name in set(labels)}
    assert max(by_label["flat_relief"]) < min(by_label["hills_relief"])
    assert max(by_label["hills_relief"]) < min(by_label["mountains_relief"])
    assert fractal(2, 16, rng(), (1, 2)).min() == 0


def test_equal_seeds_give_equal_views():
    images = [rng().integers(0, 256, (4, 50, 70), np.uint8)]

    def views():
        seeded = torch.Generator().manual_seed(3)
        return random_light(random_views(images * 3, 32, seeded, area=(0.2, 1)), seeded)

    assert views().shape == (3, 4, 32, 32)
    torch.testing.assert_close(views(), views(), rtol=0, atol=0)
    for parts in (4, 16):
        shades = torch.linspace(0, 1, parts).view(parts, 1, 1, 1).repeat(1, 2, 32, 32)
        seen = mosaic(shades)
        assert seen.shape == (2, 32, 32)
        assert sorted(seen[0].unique().tolist()) == pytest.approx(torch.linspace(0, 1, parts).tolist())


@pytest.fixture
def sentences(tmp_path, monkeypatch):
    """A bank of few sentences whose vectors are random."""
    from bandsight.evaluation.datasets import LabelledImage

    monkeypatch.setattr(
        "training.sentences.sentence_vectors",
        lambda texts: torch.randn(len(texts), 384, generator=torch.Generator().manual_seed(0)),
    )
    images = [
        LabelledImage(
            key=str(n),
            pixels=np.zeros((3, 8, 8), np.uint8),
            wavelengths=(0.66, 0.56, 0.49),
            cls=("forest", "river")[n % 2],
            captions=(f"caption number {n}", f"another of {n}"),
        )
        for n in range(4)
    ]
    return Sentences(images, tmp_path / "cache.pt")


def test_a_prompt_of_its_class_is_true_of_an_image_and_another_classs_is_not(sentences):
    meaning = Meaning(sentences.means[[0, 1]], sentences.kind_of_image[[0, 1]])
    river = sentences.of_kind[sentences.kinds.index("river")][:1]
    truth = sentences.true_of(meaning, river)
    assert truth[1, 0] >= 0.9
    assert truth[0, 0] < 0.5
    # "woods" names a class of the captioned images and a label of the scenes.
    assert set(sentences.of_kind[sentences.kinds.index("forest")]) & set(sentences.of_kind[sentences.kind("forest")])


def test_the_loss_is_lower_where_images_lie_at_their_sentences(sentences):
    student = Student(pretrained=False).eval()
    rows = np.array([0, 1, 2, 3])
    own = np.array([sentences.captions[row][0] for row in rows])
    meaning = Meaning(sentences.means[rows], sentences.kind_of_image[rows])
    bank = sentences.bank(rng(), captions=6, prompts=1)
    memory = Memory(16)
    right = student.texts(sentences.vectors[own])
    with torch.no_grad():
        good = contrast(student, right, meaning, own, sentences, bank, memory)
        memory.add(right, meaning)
        bad = contrast(student, right.roll(1, 0), meaning, own, sentences, bank, memory)
    assert good < bad
    assert len(memory.rows) == 4


def test_groups_of_bands_share_one_pass_and_the_average_follows():
    torch.manual_seed(0)
    student = Student(pretrained=False).eval()
    rgb, sar = torch.rand(2, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        both = student.images((rgb, (0.66, 0.56, 0.49)), (sar, (5.405,)))
        alone = student.images((sar, (5.405,)))
    assert both.shape == (3, 384)
    torch.testing.assert_close(both[2:], alone, rtol=1e-4, atol=1e-5)
    other = Student(pretrained=False)
    follow(other, student, keep=0.0)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(value, student.state_dict()[name])


def test_imitated_bands_tell_water_plants_cloud_and_snow_apart():
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


def test_air_brightens_blue_more_than_infrared_and_stays_in_range():
    views = torch.full((400, 2, 2, 2), 0.2)
    seen = random_air(views, (0.45, 2.2), torch.Generator().manual_seed(0))
    assert 0 <= seen.min() <= seen.max() <= 1
    assert seen[:, 0].mean() > seen[:, 1].mean() + 0.02


def test_agreement_among_crops_asks_for_more_than_likeness():
    vectors = torch.nn.functional.normalize(torch.eye(4, 384) + 0.9, dim=1)
    alike = agreement(vectors, vectors, among=False)
    assert alike < 1e-6
    assert agreement(vectors, vectors, among=True) < agreement(vectors, vectors.roll(1, 0), among=True)


def test_measured_radar_and_relief_are_labelled_by_what_they_show():
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


def test_labels_and_classes_share_their_words_once_told_to(sentences):
    label, cls = sentences.kind("forest"), sentences.kinds.index("forest")
    before = set(sentences.of_kind[cls])
    assert not set(sentences.of_kind[label]) <= before
    sentences.share_words()
    assert set(sentences.of_kind[cls]) == set(sentences.of_kind[label]) > before
    again = [rows.tolist() for rows in sentences.of_kind]
    sentences.share_words()
    assert [rows.tolist() for rows in sentences.of_kind] == again
    shore, lake = sentences.kind("shore"), set(sentences.of_kind[sentences.kind("water")])
    assert not lake <= set(sentences.of_kind[shore])
    sentences.share_words(in_head=True)
    assert lake <= set(sentences.of_kind[shore])


def test_the_rate_of_learning_rises_falls_slowly_and_then_to_nothing():
    first = PARTS["world"][0].until
    rates = [rate_of_learning(step, 2000, first) for step in range(2000)]
    assert rates[0] < 0.05
    assert max(rates) == max(rates[59:80]) > 0.99
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[round(first * 2000)] == pytest.approx(0.5 + 0.5 * np.cos(np.pi / 2.5), abs=1e-3)
    assert rates[-1] < 1e-4


@pytest.mark.parametrize("name", PARTS)
def test_every_epoch_of_a_run_lies_in_a_part(name):
    sizes = [part_of(PARTS[name], epoch, 18).size for epoch in range(18)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 128


def test_imitated_ground_is_labelled_by_what_it_shows():
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


def test_imitated_woods_are_rough_and_water_is_not():
    rng = np.random.default_rng(4)
    rough = {"water": [], "forest": []}
    for _ in range(12):
        made = ground(8, 96, rng, weather=0)
        red = int(np.abs(np.array(made.wavelengths) - 0.665).argmin())
        for view, label in zip(made.views[:, red].numpy(), made.labels, strict=True):
            if label in rough and view.mean() > 0.02:
                rough[label].append(np.median(np.abs(np.diff(view, axis=1))) / view.mean())
    assert np.median(rough["forest"]) > 3 * np.median(rough["water"])


def test_even_dark_pixels_are_water_only_where_asked():
    views = torch.tensor([0.10, 0.22, 0.12]).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()
    plants = imitate(views, (0.842,), np.random.default_rng(0))
    pond = imitate(views, (0.842,), np.random.default_rng(0), smooth_is_water=True)
    assert pond.mean() < 0.5 * plants.mean()


def test_wordings_of_one_thing_cost_nothing_only_where_they_are_one_vector(sentences, monkeypatch):
    student = Student(pretrained=False)
    rng = np.random.default_rng(0)
    assert wordings(student, sentences, [0, 1], rng) > 0.05
    monkeypatch.setattr(student, "texts", lambda vectors: torch.eye(1, 384).expand(len(vectors), -1))
    assert wordings(student, sentences, [0, 1], rng) == 0
