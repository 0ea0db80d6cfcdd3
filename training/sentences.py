"""All sentences used in training, and how true they are for each image."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.data import Example
from training.prompts import class_prompts, keywords, label_prompts, vocabulary
from training.text import States, TunedLayers, first_states

# Probability that keywords replace a caption.
_KEYWORDS = 0.1
# Sentences of other images are partly true if their cosine with an own sentence reaches this, up to this degree.
_ALIKE, _PARTLY = 0.75, 0.6
# Spellings of classes that differ between sets.
_SAME = {
    "agricultural": "farmland",
    "parking": "parking lot",
    "storage tank": "storage tanks",
    "cloudy": "cloud",
    "commercial": "commercial area",
    "industrial": "industrial area",
    "baseball field": "baseball diamond",
    "port": "harbor",
}


class Sentences:
    """All sentences as rows. A kind is a class of a captioned set or a label of vocabulary.toml."""

    def __init__(self, images: list[Example], cache: Path) -> None:
        labels = [f"label {label}" for label in sorted(vocabulary()["labels"])]
        classes = sorted({_SAME.get(image.cls, image.cls) for image in images if image.cls})
        self.kinds = [*classes, *labels]
        prompts: dict[str, set[int]] = {}
        spellings: dict[str, list[str]] = {cls: [cls] for cls in classes}
        for other, cls in _SAME.items():
            spellings.setdefault(cls, [cls]).append(other)
        for kind, name in enumerate(self.kinds):
            said = (
                label_prompts(name.removeprefix("label "))
                if name in labels
                else [text for cls in spellings[name] for text in class_prompts(cls)]
            )
            for text in said:
                prompts.setdefault(text, set()).add(kind)
        captions = sorted({caption for image in images for caption in image.captions})
        row_of = {caption: row for row, caption in enumerate(captions)}
        rows = {id(image): [row_of[text] for text in dict.fromkeys(image.captions)] for image in images}
        short = sorted({each[0] for each in rows.values() if each})
        self.texts = [*captions, *(keywords(captions[row]) for row in short), *prompts]
        self.first_prompt = len(captions) + len(short)
        # Caption of each row; prompts have none.
        self._says = np.concatenate([np.arange(len(captions)), short, np.full(len(prompts), -1)])
        self._rows = {key: np.array(each) for key, each in rows.items()}
        self._short = {row: len(captions) + i for i, row in enumerate(short)}
        shared = [{self.kinds.index(name) for name in group if name in self.kinds} for group in vocabulary()["shared"]]
        named = np.zeros((len(self.texts), len(self.kinds)), bool)
        for row, kinds in enumerate(prompts.values(), start=self.first_prompt):
            named[row, list(kinds)] = True
        for group in shared:
            columns = sorted(group)
            named[:, columns] = named[:, columns].any(axis=1, keepdims=True)
        self.named = torch.from_numpy(named)
        self.of_kind = [np.flatnonzero(named[:, kind]) for kind in range(len(self.kinds))]
        self.states = self._load(cache)
        self.vectors = _vectors(self.states)
        self.unit = functional.normalize(self.vectors, dim=-1)

    def _load(self, cache: Path) -> States:
        if cache.is_file():
            kept = torch.load(cache, weights_only=False)
            if kept["texts"] == self.texts:
                states: States = kept["states"]
                return states
        states = first_states(self.texts, TunedLayers.count)
        torch.save({"texts": self.texts, "states": states}, cache)
        return states

    def kind(self, image: Example) -> int:
        """Return the kind of an image's class, or -1."""
        return self.kinds.index(_SAME.get(image.cls, image.cls)) if image.cls else -1

    def label(self, label: str | None) -> int:
        """Return the kind of a label of vocabulary.toml, -1 for None."""
        return -1 if label is None else self.kinds.index(f"label {label}")

    def draw(self, image: Example, kind: int, count: int, rng: np.random.Generator) -> list[int]:
        """Return rows of sentences that are true for an image: captions, sometimes as keywords, and a prompt.

        Args:
            image: The image; without captions, all rows are prompts of its kind.
            kind: Its kind, or -1.
            count: Number of sentences.
            rng: Random number generator.
        """
        captions = self._rows.get(id(image), ())
        prompts = 0 if kind < 0 else count if len(captions) == 0 else 1
        rows = self.prompts(kind, prompts, rng) if prompts else []
        for _ in range(count - len(rows)):
            row = int(rng.choice(captions))
            rows.append(self._short.get(row, row) if rng.random() < _KEYWORDS * len(captions) else row)
        return rows

    def prompts(self, kind: int, count: int, rng: np.random.Generator) -> list[int]:
        """Return rows of random prompts for a kind."""
        return [int(row) for row in rng.choice(self.of_kind[kind], count)]

    def one_prompt_each(self, rng: np.random.Generator) -> list[int]:
        """Return the row of a random prompt for each kind."""
        return [int(rng.choice(rows)) for rows in self.of_kind]

    def truth(self, own: NDArray[np.int64], kinds: NDArray[np.int64], texts: NDArray[np.int64]) -> Tensor:
        """Return the degree to which each sentence is true for each image, 0..1, shape (images, texts).

        Args:
            own: Rows of each image's own sentences, shape (images, n).
            kinds: Kind of each image, or -1, shape (images,).
            texts: Rows of the sentences.
        """
        cosine = torch.einsum("ind,td->int", self.unit[own], self.unit[texts]).amax(dim=1)
        partly = _PARTLY * ((cosine - _ALIKE) / (1 - _ALIKE)).clamp(0, 1)
        says, asked = self._says[own][:, :, None], self._says[texts][None, None, :]
        exact = (own[:, :, None] == texts[None, None, :]) | ((says == asked) & (says >= 0))
        named = self.named[texts].T[np.maximum(kinds, 0)] & torch.from_numpy(kinds >= 0)[:, None]
        return torch.where(torch.from_numpy(exact.any(axis=1)) | named, 1.0, partly)


@torch.inference_mode()
def _vectors(states: States) -> Tensor:
    layers = TunedLayers()
    rows = np.arange(len(states.lengths))
    return torch.cat([layers(states, some) for some in np.array_split(rows, len(rows) // 512 + 1)]).clone()
