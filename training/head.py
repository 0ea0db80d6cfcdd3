"""The head that reads all trunks' features, and its text projection: trained on features that are kept."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.losses import Memory, agreement, contrast, wordings
from training.sentences import Meaning, Sentences
from training.student import Projections, follow
from training.views import Step

# Labelled crops of scenes in a step; pairs of all and some bands of a crop; share of sentences that only name a class.
_CROPS, _PAIRS, _PROMPTS = 64, 64, 0.1
# Share of features that a step does not see, so that the head leans on no few of them.
_UNSEEN = 0.2
# Sentences that a step tells its images from: captions, and prompts of every kind.
_BANK = (896, 1)
_RATE, _DECAY, _KEEP = 1e-3, 0.02, 0.998


@dataclass(frozen=True, slots=True)
class Crops:
    """Features of all labelled crops of all scenes."""

    whole: Tensor
    """From all bands, shape (n, features)."""
    seen: Tensor
    """From some bands, in worse light, likewise."""
    kinds: NDArray[np.int64]
    """The label of each, as a kind of sentences."""
    chances: NDArray[np.float64]
    """How often each is drawn: rare labels of a scene oftener than their number says."""


def train_head(
    steps: Sequence[Step], sentences: Sentences, epochs: int, seed: int, *, begin: int | None = None
) -> Projections:
    """Return the average of a head and its text projection over the run.

    Args:
        steps: Features of all views.
        sentences: The bank.
        epochs: Times that each step is seen.
        seed: Of everything drawn.
        begin: Seed of the first weights, if not that one; heads that begin alike can be averaged.
    """
    torch.manual_seed(seed if begin is None else begin)
    captioned = [(step, step.features) for step in steps if step.features is not None]
    head = Projections(captioned[0][1].shape[1])
    head.start_text(sentences.whitening())
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    average = copy.deepcopy(head).requires_grad_(False)
    crops, memory = labelled_crops(steps), Memory(4096)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    total = epochs * len(captioned)
    order = [int(i) for _ in range(epochs) for i in rng.permutation(len(captioned))]
    for done, which in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * rate(done, total, rise=50)
        loss = loss_of(head, *captioned[which], crops, sentences, memory, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        follow(average, head, min(_KEEP, (1 + done) / (10 + done)))
        if done % 100 == 0:
            print(f"step {done}/{total} loss {loss.item():.3f}", flush=True)
    return average


def rate(done: int, total: int, *, rise: int) -> float:
    """Return the share of the peak rate of learning at a step: a rise of some steps, and a fall to nothing."""
    return min(1, (done + 1) / rise) * (0.5 + 0.5 * math.cos(math.pi * done / total))


def labelled_crops(steps: Sequence[Step]) -> Crops:
    """Return the labelled crops of all steps."""
    scenes = [scene for step in steps for scene in step.scenes if scene.labelled]
    kinds = np.concatenate([scene.kinds for scene in scenes])
    names = np.concatenate([[scene.name] * len(scene.labelled) for scene in scenes])
    _, group, counts = np.unique(np.char.add(names, kinds.astype(str)), return_inverse=True, return_counts=True)
    weights = counts[group] ** -0.5
    return Crops(
        torch.cat([scene.whole[scene.labelled] for scene in scenes]),
        torch.cat([scene.seen[scene.labelled] for scene in scenes]),
        kinds,
        weights / weights.sum(),
    )


def loss_of(
    head: Projections,
    step: Step,
    features: Tensor,
    crops: Crops,
    sentences: Sentences,
    memory: Memory,
    rng: np.random.Generator,
    *,
    bank: tuple[int, int] = _BANK,
    crops_drawn: int = _CROPS,
    same: float = 1.0,
) -> Tensor:
    """Return the loss of a step: captioned images and crops told apart together, bands and wordings drawn together."""
    drawn = rng.choice(len(crops.kinds), crops_drawn, p=crops.chances, replace=False)
    all_bands = torch.from_numpy(rng.random(crops_drawn) < 0.5)[:, None]
    seen = torch.where(all_bands, crops.whole[drawn], crops.seen[drawn])
    vectors = _projected(head, torch.cat([features, seen]))
    kinds = np.concatenate([step.meaning.kinds, crops.kinds[drawn]])
    meaning = Meaning(torch.cat([step.meaning.vectors, sentences.kind_means[crops.kinds[drawn]]]), kinds)
    images = [*step.images.tolist(), *[-1] * crops_drawn]
    own = np.array(
        [
            sentences.draw(image, _PROMPTS, rng) if image >= 0 else rng.choice(sentences.of_kind[kind])
            for image, kind in zip(images, kinds.tolist(), strict=True)
        ]
    )
    told_from = sentences.bank(rng, captions=bank[0], prompts=bank[1])
    told_apart = contrast(head, vectors, meaning, own, sentences, told_from, memory)
    memory.add(vectors, meaning)
    pairs = rng.choice(len(crops.kinds), _PAIRS, replace=False)
    whole, some = (_projected(head, side[pairs]) for side in (crops.whole, crops.seen))
    rows = [image for image in images if image >= 0]
    return told_apart + agreement(some, whole.detach(), among=False) + same * wordings(head, sentences, rows, rng)


def _projected(head: Projections, features: Tensor) -> Tensor:
    return head.project(functional.dropout(features.float(), _UNSEEN))
