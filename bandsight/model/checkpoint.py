"""Finds and reads model folders (config, trunk dimensions, weights) on disk or on the Hugging Face hub."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bandsight.errors import ModelError

EMBEDDED = "embedded"
_HUB, _LOCAL = "hf-hub:", "local-dir:"
_CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_model.bin",
)
# Auxiliary heads of DOFA-CLIP's training; the encoders do not use them.
_TRAINING_ONLY = "translators."
# A timm name with this prefix is a trunk with DOFA's patch embedding.
DOFA = "dofa_"
# An int8 matrix `NAME` has one scale factor per row, under `NAME:row_scale`.
ROW_SCALE = ":row_scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """The files of a model, before the model is built."""

    source: str
    """Source that names the model, e.g. `embedded`."""
    path: Path
    """The folder."""
    config: dict[str, Any]
    """open_clip_config.json."""
    trunk_args: dict[str, Any]
    """trunk_args.json, or empty."""
    weights: Path
    """The checkpoint file."""

    @property
    def license(self) -> str:
        """Licence of the weights: from the config, else from the publisher's model card, else `unknown`."""
        section = self.config.get("bandsight")
        license_ = section.get("license") if isinstance(section, dict) else None
        if license_:
            return str(license_)
        # Hub names are case-insensitive.
        if self.source.lower().startswith(f"{_HUB}earthflow/"):
            return "CC-BY-NC-4.0"
        return "unknown; CC-BY-NC-4.0 if these are weights of DOFA-CLIP" if self._is_dofa() else "unknown"

    def _is_dofa(self) -> bool:
        """Return whether the trunk is DOFA's, as in a downloaded copy of DOFA-CLIP."""
        try:
            return str(self.config["model_cfg"]["vision_cfg"]["timm_model_name"]).startswith(DOFA)
        except (KeyError, TypeError):
            return False

    def digest(self) -> str:
        """Return the SHA-256 of the weights file and of the config, as hex."""
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        with self.weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def find_model(source: str) -> ModelFolder:
    """Return the model folder of a source.

    Args:
        source: `embedded`, `hf-hub:OWNER/NAME`, or `local-dir:PATH`.

    Raises:
        ModelError: The kind of source is unknown, or files are missing.
    """
    if source == EMBEDDED:
        path = Path(__file__).parent / "embedded"
    elif source.startswith(_LOCAL):
        path = Path(source.removeprefix(_LOCAL)).expanduser()
    elif source.startswith(_HUB):
        path = _download(source.removeprefix(_HUB))
    else:
        raise ModelError(
            f"model {source!r}: need 'embedded', 'hf-hub:OWNER/NAME' "
            "(e.g. hf-hub:earthflow/GeoLB-ViT-14-SigLIP-so400m-384-EO) or 'local-dir:PATH'"
        )
    if not (path / _CONFIG).is_file():
        raise ModelError(f"model {source}: no {_CONFIG} in {path}; need an open_clip model folder")
    weights = next((path / name for name in _WEIGHTS if (path / name).is_file()), None)
    if weights is None:
        raise ModelError(f"model {source}: no weights in {path}; need one of {', '.join(_WEIGHTS)}")
    trunk_args = path / "trunk_args.json"
    return ModelFolder(
        source=source,
        path=path,
        config=_read_json(path / _CONFIG),
        trunk_args=_read_json(trunk_args) if trunk_args.is_file() else {},
        weights=weights,
    )


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
        # Torch's further lines explain how to run code from a checkpoint, which is not safe.
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". In PyTorch")[0]
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} cannot be read as a checkpoint of tensors ({reason}); "
            "download the complete file again from its publisher"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} contains other values than named tensors; "
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

    A loader that tolerates missing keys gives a model that runs but returns nonsense. Some mirrors of DOFA-CLIP lack
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


def _download(repository: str) -> Path:
    """Return the local folder of a hub repository, from the hub's cache or downloaded."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=["*.json", "open_clip*", "*.txt", "*.model"]))
    except Exception as error:
        raise ModelError(
            f"model hf-hub:{repository}: cannot be downloaded ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "check the name and the network, or download the repository elsewhere and pass local-dir:PATH"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); download the file again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: found a JSON {type(value).__name__}; need an object")
    return value
