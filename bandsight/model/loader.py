"""Loads models into PyTorch: finds the folder, builds the towers, loads the weights strictly, runs a self-test."""

import torch

from bandsight.errors import BandsightError, ModelError
from bandsight.model.architecture import build_model, fold_batch_norm, ignores_padding
from bandsight.model.checkpoint import load_strictly, read_weights
from bandsight.model.clip import ClipEncoder
from bandsight.model.folder import ModelFolder, find_model
from bandsight.model.preprocess import Preprocess
from bandsight.model.selftest import self_test
from bandsight.model.tokenizer import LazyTokenizer


def load_model(source: str = "embedded", device: str = "auto", *, check: bool = True) -> ClipEncoder:
    """Load an image-text model for any sensor into PyTorch.

    Args:
        source: `embedded`, `hf-hub:earthflow/GeoLB-ViT-14-SigLIP-so400m-384-EO` (or its B-16 sibling), or
            `local-dir:PATH` of a folder with open_clip_config.json and weights.
        device: `auto` (CUDA when available), `cpu`, `cuda`, or `cuda:N`.
        check: Run the self-test. Turn it off for random weights.

    Raises:
        ModelError: Files are missing or do not match, the device is not available, or the self-test fails.
    """
    return load_folder(find_model(source), device, check=check)


def load_folder(folder: ModelFolder, device: str, *, check: bool) -> ClipEncoder:
    """Load a model from its files; see `load_model`."""
    source, torch_device = folder.source, pick_device(device)
    try:
        model = build_model(folder.config.get("model_cfg", {}), folder.path, folder.trunk_args)
        size = int(folder.config["model_cfg"]["vision_cfg"]["image_size"])
        preprocess = Preprocess.from_config(folder.config.get("preprocess_cfg", {}), size)
    except BandsightError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {source}: cannot build a model from its open_clip_config.json "
            f"({type(error).__name__}: {error}); download the file again"
        ) from error
    load_strictly(model, read_weights(folder), source)
    fold_batch_norm(model.visual)
    text_cfg = folder.config["model_cfg"]["text_cfg"]
    encoder = ClipEncoder(
        model,
        preprocess=preprocess,
        tokenizer=LazyTokenizer(text_cfg, folder.path, trim=ignores_padding(model)),
        device=torch_device,
        name=source,
        digest=folder.digest(),
        license=folder.license,
        gsd_m=folder.gsd_m,
        folder=folder.path,
    )
    if check:
        self_test(encoder)
    return encoder


def pick_device(device: str) -> torch.device:
    """Return the torch device for a name; `auto` is CUDA if available.

    Raises:
        ModelError: The name is unknown, or the CUDA device is not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unknown = ModelError(f"device {device!r}: need auto, cpu, cuda or cuda:N")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise unknown from error
    if found.type not in {"cpu", "cuda"}:
        raise unknown
    if found.type == "cuda" and (not torch.cuda.is_available() or (found.index or 0) >= torch.cuda.device_count()):
        raise ModelError(f"device {device!r}: found {torch.cuda.device_count()} CUDA devices; pass cpu or auto")
    return found
