"""The mean of several members of a joined model: of their heads, and of their sentence encoders' last layers.

Members that began alike and drew otherwise err differently, so their mean is a model too, mostly a better one, and it
costs nothing when it is used. Source: Wortsman et al., "Model soups" (2022).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from training.student import Projections

Member = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
"""The state of a tuned head, and of the sentence encoder's last layers under the names of the whole encoder."""


def mean(members: Sequence[Member]) -> tuple[Projections, dict[str, Tensor]]:
    """Return the head and the sentence encoder's last layers that are the mean of the members' ones."""
    head, text = (_mean([member[part] for member in members]) for part in (0, 1))
    mixed = Projections(head["image_proj.weight"].shape[1])
    mixed.load_state_dict(head)
    return mixed, text


def _mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}
