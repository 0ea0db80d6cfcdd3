"""The terms of the training loss."""

import torch
from torch import Tensor
from torch.nn import functional

from training.student import Student

# Inverse temperature of the softmax terms.
_SHARP = 20.0


def contrast(student: Student, image: Tensor, text: Tensor, truth: Tensor) -> Tensor:
    """Return the sigmoid loss of all pairs, plus half of a softmax loss in both directions.

    Source: Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023), with soft targets.

    Args:
        student: The model, for its logit scale and bias.
        image: Unit vectors (n, 384).
        text: Unit vectors (m, 384).
        truth: Degree to which each sentence is true for each image, 0..1, shape (n, m).
    """
    cosine = image @ text.T
    logits = cosine * student.logit_scale.exp() + student.logit_bias
    sigmoid = functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(image)
    asked = truth.T[truth.amax(dim=0) >= 1]
    found = cosine.T[truth.amax(dim=0) >= 1]
    to_text = functional.cross_entropy(_SHARP * cosine, _shares(truth))
    to_image = functional.cross_entropy(_SHARP * found, _shares(asked))
    return sigmoid + 0.5 * (to_text + to_image)


def _shares(truth: Tensor) -> Tensor:
    sharp = truth**2
    return sharp / sharp.sum(dim=1, keepdim=True)


def agreement(seen: Tensor, target: Tensor) -> Tensor:
    """Return the distance of views from their targets, unit vectors (n, 384), plus a contrastive term."""
    own = torch.arange(len(seen), device=seen.device)
    distance = (1 - (seen * target).sum(dim=1)).mean()
    return distance + 0.25 * functional.cross_entropy(_SHARP * seen @ target.T, own)
