"""Finds and reads a model folder: config, trunk dimensions and weights, from disk or from the Hugging Face hub."""

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
# Auxiliary heads of DOFA-CLIP's training; no part of the encoders.
_TRAINING_ONLY = "translators."
# A timm name with this in front is a trunk whose patch embedding is DOFA's.
DOFA = "dofa_"
# A matrix `NAME` stored as int8 has the factor of each of its rows under `NAME:row_scale`.
ROW_SCALE = ":row_scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A model's files, read but not yet built."""

    source: str
    """What the user asked for."""
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
        """Licence of the weights: the config's own word, else what the publisher's card says, else `unknown`."""
        own = self.config.get("bandsight")
        named = own.get("license") if isinstance(own, dict) else None
        if named:
            return str(named)
        # Hub names are the same in any case.
        if self.source.lower().startswith(f"{_HUB}earthflow/"):
            return "CC-BY-NC-4.0"
        return "unknown; CC-BY-NC-4.0 if these are weights of DOFA-CLIP" if self._is_dofa() else "unknown"

    def _is_dofa(self) -> bool:
        """Say whether the trunk is DOFA's, as it is where somebody downloaded DOFA-CLIP."""
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
    """Return the model folder that a source names.

    Args:
        source: `embedded`, `hf-hub:OWNER/NAME`, or `local-dir:PATH`.

    Raises:
        ModelError: The source is of no known kind, or files are missing.
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
    """Return the state dict in float32, cleaned of wrappers (`state_dict`, `module.`) and training-only keys.

    Raises:
        ModelError: The file cannot be read as a checkpoint.
    """
    try:
        if folder.weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(folder.weights)
        else:
            state = torch.load(folder.weights, map_location="cpu", weights_only=True)
    except Exception as error:
        # Torch's next lines say how to run the code that a checkpoint may hold.
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". In PyTorch")[0]
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} cannot be read as a checkpoint of tensors ({reason}); "
            "get the file again, whole, from where the model is published"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} holds something else than tensors by name; "
            "need a state dict, or one under 'state_dict'"
        )
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    if halves := _unpaired(state):
        raise ModelError(
            f"model {folder.source}: {folder.weights.name} has {len(halves)} int8 matrices without their row factors, "
            f"or factors without their matrix: {', '.join(halves)}; get the complete checkpoint"
        )
    state = expand_int8(state)
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if not key.startswith(_TRAINING_ONLY)
    }


def expand_int8(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict whose int8 matrices are multiplied out to float32, their row factors gone."""
    return {
        key: value.float() * state[key + ROW_SCALE].float() if key + ROW_SCALE in state else value
        for key, value in state.items()
        if not key.endswith(ROW_SCALE)
    }


def _unpaired(state: dict[str, Tensor]) -> list[str]:
    """Return the int8 matrices without row factors, and the row factors without an int8 matrix."""
    matrices = {key for key, value in state.items() if value.dtype == torch.int8}
    factors = {key.removesuffix(ROW_SCALE) for key in state if key.endswith(ROW_SCALE)}
    return sorted([*(matrices - factors), *(key + ROW_SCALE for key in factors - matrices)])


def load_strictly(model: torch.nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict that must fit key for key and shape for shape.

    A loader that lets keys go missing gives a model that runs and answers nonsense (seen with text attention
    weights of DOFA-CLIP mirrors), so every difference is an error that lists the keys.
    """
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(state))
    extra = sorted(set(state) - set(wanted))
    shapes = [
        f"{key} is {tuple(state[key].shape)}, need {tuple(wanted[key].shape)}"
        for key in sorted(set(wanted) & set(state))
        if state[key].shape != wanted[key].shape
    ]
    for what, keys in (("misses", missing), ("has unknown", extra), ("has wrong shapes:", shapes)):
        if keys:
            raise ModelError(
                f"model {source}: the checkpoint {what} {len(keys)} key(s): {', '.join(keys)}; "
                "get the complete checkpoint that belongs to this config"
            )
    model.load_state_dict(state)


def _download(repository: str) -> Path:
    """Return the local folder of a hub repository, from the hub's cache or fetched now."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=["*.json", "open_clip*", "*.txt", "*.model"]))
    except Exception as error:
        raise ModelError(
            f"model hf-hub:{repository}: cannot be fetched ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "check the name and the network, or download the repository elsewhere and pass local-dir:PATH"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); get the file again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: found a JSON {type(value).__name__}, need an object")
    return value
