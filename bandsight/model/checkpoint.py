"""Reads model weights and loads them strictly."""

from typing import Any

import torch
from torch import Tensor

from bandsight.errors import ModelError
from bandsight.model.folder import ModelFolder

# Auxiliary heads of DOFA-CLIP's training; the encoders do not use them.
_TRAINING_ONLY = "translators."
# An int8 matrix `NAME` has one scale factor per row, under `NAME:row_scale`.
ROW_SCALE = ":row_scale"


def read_weights(folder: ModelFolder) -> dict[str, Tensor]:
    """Return the state dict in float32, without wrappers (`state_dict`, `module.`) and training-only keys.

    Raises:
        ModelError: The file is not a checkpoint.
    """
    try:
        if folder.weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(folder.weights)
        else:
            state = torch.load(folder.weights, map_location="cpu", weights_only=True)
    except Exception as error:
        # Keep the first line only: the others explain how to allow code execution, which is unsafe.
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". In PyTorch")[0]
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} cannot be read as a checkpoint of tensors ({reason}); "
            "download the complete file again from its publisher"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} contains values other than named tensors; "
            "need a state dict, or one under 'state_dict'"
        )
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    if unpaired := _unpaired(state):
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} has {len(unpaired)} int8 matrices without row factors, "
            f"or row factors without a matrix: {', '.join(unpaired)}; download the complete checkpoint"
        )
    state = expand_int8(state)
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if not key.startswith(_TRAINING_ONLY)
    }


def expand_int8(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with int8 matrices and their row factors replaced by float32 matrices."""
    return {
        key: value.float() * state[key + ROW_SCALE].float() if key + ROW_SCALE in state else value
        for key, value in state.items()
        if not key.endswith(ROW_SCALE)
    }


def _unpaired(state: dict[str, Tensor]) -> list[str]:
    """Return the names of int8 matrices without row factors, and of row factors without an int8 matrix."""
    matrices = {key for key, value in state.items() if value.dtype == torch.int8}
    factors = {key.removesuffix(ROW_SCALE) for key in state if key.endswith(ROW_SCALE)}
    return sorted([*(matrices - factors), *(key + ROW_SCALE for key in factors - matrices)])


def load_strictly(model: torch.nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict whose keys and shapes must match exactly.

    Tolerating missing keys would yield a model that runs but returns nonsense. Some mirrors of DOFA-CLIP lack
    text attention weights.

    Raises:
        ModelError: Keys are missing or unknown, or shapes differ; the message lists the keys.
    """
    expected = model.state_dict()
    missing = sorted(set(expected) - set(state))
    extra = sorted(set(state) - set(expected))
    shapes = [
        f"{key} is {tuple(state[key].shape)}, need {tuple(expected[key].shape)}"
        for key in sorted(set(expected) & set(state))
        if state[key].shape != expected[key].shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", extra), ("has wrong shapes:", shapes)):
        if keys:
            raise ModelError(
                f"model {source}: the checkpoint {what} {len(keys)} key(s): {', '.join(keys)}; "
                "download the complete checkpoint for this config"
            )
    model.load_state_dict(state)
