"""Image-text contrast against many more sentences and images than a batch holds."""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.sentences import Meaning, Sentences
from training.student import Projections

# Fixed sharpness of the softmax terms; the learned logit scale belongs to the sigmoid term.
_SHARP = 30.0
# Temperature of the soft targets, in units of sentence similarity.
_SOFT = 0.04


class Memory:
    """The last images' vectors with what they mean: a small batch is ranked against thousands (as XBM does).

    Source: Wang et al., "Cross-Batch Memory for Embedding Learning" (2020).
    """

    def __init__(self, size: int) -> None:
        self.rows: deque[tuple[Tensor, Tensor, int]] = deque(maxlen=size)

    def add(self, vectors: Tensor, meaning: Meaning) -> None:
        """Keep a batch; the oldest fall out."""
        self.rows.extend(zip(vectors.detach().cpu(), meaning.vectors, meaning.kinds.tolist(), strict=True))

    def get(self) -> tuple[Tensor, Meaning]:
        """Return all vectors kept and what they mean."""
        vectors, means, kinds = zip(*self.rows, strict=True)
        return torch.stack(vectors), Meaning(torch.stack(means), np.array(kinds))


def contrast(
    student: Projections,
    image: Tensor,
    meaning: Meaning,
    own: NDArray[np.int64],
    sentences: Sentences,
    bank: NDArray[np.int64],
    memory: Memory | None,
) -> Tensor:
    """Sigmoid loss with soft positives in the batch, and softmax loss both ways with soft targets.

    Args:
        student: For its text projection, scale and bias.
        image: Unit vectors of the batch, shape (n, 384).
        meaning: What the images mean.
        own: One sentence of each image, rows of `sentences`, shape (n,).
        sentences: The bank.
        bank: More sentences to tell the images from, rows of `sentences`.
        memory: Earlier images, or None.
    """
    n, device = len(own), image.device
    texts = np.concatenate([own, bank])
    text = student.texts(sentences.vectors[texts].to(device))
    alike = sentences.true_of(meaning, texts)
    alike[torch.arange(n), torch.arange(n)] = 1.0
    alike = alike.to(device)
    cosine = image @ text.T
    truth = ((alike[:, :n] - 0.65) / 0.3).clamp(0, 1)
    logits = cosine[:, :n] * student.logit_scale.exp() + student.logit_bias
    sigmoid = functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / n
    to_text = functional.cross_entropy(_SHARP * cosine, torch.softmax(alike / _SOFT, dim=1))
    back, back_alike = cosine[:, :n].T, alike[:, :n].T
    if memory is not None and memory.rows:
        kept, kept_meaning = memory.get()
        back = torch.cat([back, text[:n] @ kept.to(device).T], dim=1)
        # An earlier image of which this very caption is true is very like it, so it counts as such.
        back_alike = torch.cat([back_alike, sentences.true_of(kept_meaning, own).T.to(device)], dim=1)
    to_image = functional.cross_entropy(_SHARP * back, torch.softmax(back_alike / _SOFT, dim=1))
    return sigmoid + 0.5 * (to_text + to_image)


def agreement(seen: Tensor, target: Tensor, *, among: bool) -> Tensor:
    """Return how far crops in some bands are from the same crops' targets, both unit vectors (n, 384).

    Args:
        seen: The student's vectors.
        target: The averaged model's, from all bands.
        among: Also, each crop should be nearer to its own target than to the others'.
    """
    distance = (1 - (seen * target).sum(dim=1)).mean()
    if not among:
        return distance
    own = torch.arange(len(seen), device=seen.device)
    return distance + 0.25 * functional.cross_entropy(_SHARP * seen @ target.T, own)


def wordings(student: Projections, sentences: Sentences, rows: list[int], rng: np.random.Generator) -> Tensor:
    """Return how far apart wordings of one thing lie: two prompts of each kind, two sentences of each image.

    Args:
        student: For its text projection.
        sentences: The bank.
        rows: Images of the batch.
        rng: Draws the wordings.
    """
    said = [
        np.concatenate([sentences.captions[row], sentences.keywords[row], sentences.rephrased[row]]) for row in rows
    ]
    groups = [*sentences.of_kind, *said]
    pairs = np.array([rng.choice(group, 2) for group in groups])
    device = student.text_proj.weight.device
    one, other = (student.texts(sentences.vectors[pairs[:, side]].to(device)) for side in (0, 1))
    distance = 1 - (one * other).sum(dim=1)
    kinds = len(sentences.of_kind)
    return distance[:kinds].mean() + distance[kinds:].mean()
