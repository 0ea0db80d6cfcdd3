"""Finds model folders on disk or on the Hugging Face hub, and reads a model's metadata without building it."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
# A timm name with this prefix is a trunk with DOFA's patch embedding.
DOFA = "dofa_"
# A timm name with this prefix is a trunk whose first convolution is generated from wavelengths.
SPECTRAL = "spectral_"
# Separator between names of parallel trunks, and the name of the trunk without learned weights.
SEPARATOR, INDICES = "+", "indices"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """The files of a model, before the model is built."""

    source: str
    """Source of the model, e.g. `embedded`."""
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

    @property
    def gsd_m(self) -> tuple[float, float] | None:
        """Smallest and largest ground sample distance in the training data, m; None if the config does not state it.

        Raises:
            ModelError: The value in the config is invalid.
        """
        section = self.config.get("bandsight")
        stated = section.get("gsd_m") if isinstance(section, dict) else None
        if stated is None:
            return None
        try:
            low, high = (float(value) for value in stated)
        except (TypeError, ValueError):
            low, high = math.nan, math.nan
        if not 0 < low <= high < math.inf:
            raise ModelError(
                f"model {self.source}: its config states gsd_m {stated}; need [smallest, largest] in metres, "
                "e.g. [0.3, 30]"
            )
        return low, high

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
