"""Every sentence of the recipe as a vector, and how far each is true of each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bandsight.evaluation.datasets import LabelledImage
from training.prompts import class_prompts, keywords, label_prompts, rephrased, vocabulary
from training.text import sentence_vectors

# How much a prompt of an image's own class is true of it; its own captions are 1.
_OWN_CLASS = 0.92
# Chances of keywords, and of a caption in other words.
_KEYWORDS, _REPHRASED = 0.12, 0.15
# How far the covariance of wordings is shrunk towards the identity.
_SHRINK = 0.3


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a batch of images means: unit vectors (n, 384), and a kind (n,) that prompts of the same kind name."""

    vectors: Tensor
    kinds: NDArray[np.int64]


class Sentences:
    """The bank of all sentences; rows are sentences, kinds are classes and labels."""

    def __init__(self, images: list[LabelledImage], cache: Path) -> None:
        classes = sorted({image.cls for image in images if image.cls})
        labels = sorted(vocabulary()["labels"])
        self.kinds = [*classes, *(f"label {label}" for label in labels)]
        captions = sorted({caption for image in images for caption in image.captions})
        # One prompt may name several kinds: woods are a class of the captioned images and a label of the scenes.
        prompts: dict[str, set[int]] = {}
        for kind, cls in enumerate(classes):
            for text in class_prompts(cls):
                prompts.setdefault(text, set()).add(kind)
        for kind, label in enumerate(labels, start=len(classes)):
            for text in label_prompts(label):
                prompts.setdefault(text, set()).add(kind)
        rng = np.random.default_rng(0)
        other = [rephrased(caption, rng) for caption in captions]
        texts = [*captions, *(keywords(caption) for caption in captions), *other, *prompts]
        self.texts = texts
        self.vectors = _cached(texts, cache)
        unit = functional.normalize(self.vectors, dim=-1)
        self.unit = unit
        self.first_prompt = 3 * len(captions)
        self.names = np.zeros((len(texts), len(self.kinds)), bool)
        for row_of_text, named in enumerate(prompts.values(), start=self.first_prompt):
            self.names[row_of_text, list(named)] = True
        self._own_names = self.names
        self.of_kind = [np.flatnonzero(self.names[:, kind]) for kind in range(len(self.kinds))]
        row = {caption: i for i, caption in enumerate(captions)}
        self.captions = [np.array([row[t] for t in image.captions]) for image in images]
        self.keywords = [rows + len(captions) for rows in self.captions]
        self.rephrased = [rows + 2 * len(captions) for rows in self.captions]
        kind_of_class = {cls: kind for kind, cls in enumerate(classes)}
        self.kind_of_image = np.array([kind_of_class[str(image.cls)] for image in images])
        self.means = functional.normalize(torch.stack([unit[rows].mean(0) for rows in self.captions]), dim=-1)
        self.kind_means = functional.normalize(torch.stack([unit[rows].mean(0) for rows in self.of_kind]), dim=-1)

    def share_words(self, *, in_head: bool = False) -> None:
        """Let labels and the classes that show the same thing go by each other's phrases from here on.

        Args:
            in_head: Also those of which only the joined head says so.
        """
        said = vocabulary()
        self.names = self._own_names.copy()
        # One group after the other: what a group got, a later one that shares a kind with it gets too.
        for group in [*said["shared"], *(said["shared_in_head"] if in_head else [])]:
            kinds = [self.kinds.index(name) for name in group if name in self.kinds]
            self.names[:, kinds] = self.names[:, kinds].any(axis=1, keepdims=True)
        self.of_kind = [np.flatnonzero(self.names[:, kind]) for kind in range(len(self.kinds))]

    def whitening(self) -> Tensor:
        """Return a projection (384, 384) that makes less of what differs between wordings of one thing.

        It is the inverse square root of the covariance within the captions of an image and within the prompts of a
        kind, shrunk towards the identity; source: linear discriminant analysis, as Fisher has it.
        """
        within = _within(self.unit, self.captions) + _within(self.unit, self.of_kind)
        dim = len(within)
        within = (within * dim / within.trace() + _SHRINK * torch.eye(dim)) / (1 + _SHRINK)
        values, vectors = torch.linalg.eigh(within)
        projection: Tensor = vectors @ torch.diag(values**-0.5) @ vectors.T
        return projection

    def kind(self, label: str) -> int:
        """Return the kind of a label of vocabulary.toml."""
        return self.kinds.index(f"label {label}")

    def draw(self, image: int, prompts: float, rng: np.random.Generator) -> int:
        """Return a sentence for an image: mostly a caption, else its keywords or other words, or a prompt of its class.

        Args:
            image: Which.
            prompts: Chance of a prompt.
            rng: Source of chance.
        """
        chance = rng.random()
        if chance < prompts:
            return int(rng.choice(self.of_kind[self.kind_of_image[image]]))
        chance -= prompts
        rows = (
            self.keywords
            if chance < _KEYWORDS
            else self.rephrased
            if chance < _KEYWORDS + _REPHRASED
            else self.captions
        )
        return int(rng.choice(rows[image]))

    def bank(self, rng: np.random.Generator, captions: int, prompts: int) -> NDArray[np.int64]:
        """Return rows to tell images from: some captions, and some prompts of every kind.

        Prompts are few among all sentences; drawn evenly, a class that is rarely seen as wrong would win everywhere.
        """
        chosen = [rng.integers(self.first_prompt, size=captions), *(rng.choice(rows, prompts) for rows in self.of_kind)]
        return np.concatenate(chosen)

    def true_of(self, meaning: Meaning, texts: NDArray[np.int64]) -> Tensor:
        """Return how far each sentence is true of each image, shape (images, texts), 1 for sure."""
        alike = meaning.vectors @ self.unit[texts].T
        own = torch.from_numpy(self.names[texts].T[meaning.kinds])
        return torch.where(own, alike.clamp_min(_OWN_CLASS), alike)


def _within(unit: Tensor, groups: Sequence[NDArray[np.int64]]) -> Tensor:
    """Return the mean covariance within groups of rows."""
    rows = torch.cat([unit[group] - unit[group].mean(dim=0) for group in groups])
    return rows.T @ rows / (len(rows) - len(groups))


def _cached(texts: list[str], cache: Path) -> Tensor:
    if cache.is_file() and (kept := torch.load(cache, weights_only=True))["texts"] == texts:
        vectors: Tensor = kept["vectors"]
        return vectors
    vectors = sentence_vectors(texts)
    torch.save({"texts": texts, "vectors": vectors}, cache)
    return vectors
