"""Tunes the last layers of the sentence encoder together with the joined head, on kept features.

The encoder's first layers stay as published, so every sentence goes through them once; what the last ones are given is
kept. What sentences mean to each other (the soft targets) stays as published too.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.head import labelled_crops, loss_of, rate
from training.losses import Memory
from training.sentences import Sentences
from training.student import Projections, follow
from training.text import States, first_states, last_layers, layer_state, vocabulary_words
from training.views import Step

# Sentences that a step tells its images from, fewer than the head's own training has: each is computed anew.
_BANK = (448, 1)
_RATE, _HEAD_RATE, _KEEP = 1e-4, 3e-4, 0.99
# Labelled crops in a step, more than the head's own training has: captions should not gain at imagery's cost.
_CROPS = 80
# What wordings of one thing weigh, of what they weigh for the head alone.
_SAME = 4.0
# Words a step that must stay where they were, and what that weighs: what is not in the captions is not to be forgotten.
_WORDS, _STAY = 192, 2.0


class Tuned(nn.Module):
    """Sentence vectors from kept states through the last layers; indexed by rows, as a tensor (n, 384) would be."""

    def __init__(self, states: States, layers: nn.ModuleList) -> None:
        super().__init__()
        self.states, self.layers = states, layers

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        """Return mean-pooled vectors (n, 384) of sentences; those of equal length go together, so nothing is padded."""
        lengths = self.states.lengths[rows]
        order = np.argsort(lengths, kind="stable")
        parts = []
        for length in np.unique(lengths).tolist():
            hidden = self.states.of(rows[lengths == length], length)
            for layer in self.layers:
                hidden = layer(hidden)
            parts.append(hidden.mean(dim=1))
        back = torch.from_numpy(np.argsort(order, kind="stable"))
        return torch.cat(parts)[back]


def tune(
    head: Projections, steps: Sequence[Step], sentences: Sentences, layers: int, epochs: int, seed: int
) -> tuple[Projections, dict[str, Tensor]]:
    """Return the averages of the head and of the encoder's last layers, those as the encoder's own state.

    Args:
        head: As joined; it is changed.
        steps: Features of all views.
        sentences: The bank.
        layers: How many of the last layers.
        epochs: Times that each step is seen.
        seed: Of everything drawn.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tuned = Tuned(first_states(sentences.texts, layers), last_layers(layers))
    general = Tuned(first_states(vocabulary_words(), layers), tuned.layers)
    with torch.no_grad():
        count = len(general.states.lengths)
        published = torch.cat([general[part] for part in np.array_split(np.arange(count), 50)])
    both = nn.ModuleDict({"head": head, "layers": tuned.layers})
    average = copy.deepcopy(both).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": tuned.layers.parameters(), "lr": _RATE},
            {"params": head.parameters(), "lr": _HEAD_RATE},
        ],
        weight_decay=0.01,
    )
    peak = [group["lr"] for group in optimizer.param_groups]
    captioned = [(step, step.features) for step in steps if step.features is not None]
    crops = labelled_crops(steps)
    memory, total = Memory(4096), epochs * len(captioned)
    live = copy.copy(sentences)
    live.vectors = tuned  # type: ignore[assignment]
    for done, which in enumerate(int(i) for _ in range(epochs) for i in rng.permutation(len(captioned))):
        for group, lr in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = lr * rate(done, total, rise=30)
        told = loss_of(head, *captioned[which], crops, live, memory, rng, bank=_BANK, crops_drawn=_CROPS, same=_SAME)
        words = rng.choice(count, _WORDS, replace=False)
        stay = 1 - functional.cosine_similarity(general[words], published[words]).mean()
        optimizer.zero_grad()
        (told + _STAY * stay).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimizer.step()
        follow(average, both, min(_KEEP, (1 + done) / (10 + done)))
        if done % 20 == 0:
            print(f"tuning {done}/{total} loss {told.item():.3f} words moved {stay.item():.4f}", flush=True)
    best = average["head"]
    assert isinstance(best, Projections)
    return best, layer_state(average["layers"])
