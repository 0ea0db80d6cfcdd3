"""The mean of two joined models of the same trunks: of their heads, and of their sentence encoders' last layers.

Two runs on other views or words err differently, and both begin at the same sentence encoder, so their mean is a model
too; it costs nothing when it is used. Source: Wortsman et al., "Model soups" (2022).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from bandsight.model.checkpoint import expand_int8
from training.export import HEAD, TEXT, WEIGHTS, read_trunks
from training.student import Projections


def mean_with(
    folder: Path, trunks: list[dict[str, Tensor]], head: Projections, text: Mapping[str, Tensor]
) -> tuple[Projections, dict[str, Tensor]]:
    """Return the mean of a tuned head and its sentence encoder's last layers with those of a model folder.

    Args:
        folder: A joined model.
        trunks: Whose features the head reads.
        head: As tuned.
        text: The encoder's last layers, as tuned, under the names that they have in the whole encoder.
    """
    theirs = read_trunks(folder)
    same = len(theirs) == len(trunks) and all(
        own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
        for own, other in zip(trunks, theirs, strict=True)
    )
    if not same:
        raise SystemExit(
            f"{folder}: its trunks are others than those that were joined; only heads of the same can be mixed"
        )
    kept = load_file(folder / WEIGHTS)
    state = {
        name: torch.lerp(value, kept[HEAD[name]].float().reshape(value.shape), 0.5)
        for name, value in head.state_dict().items()
    }
    mixed = Projections(head.image_proj.in_features)
    mixed.load_state_dict(state)
    encoder = expand_int8({name: value for name, value in kept.items() if name.startswith(TEXT)})
    return mixed, {name: torch.lerp(value.float(), encoder[TEXT + name].float(), 0.5) for name, value in text.items()}
