"""One way to every model: find the folder, build the towers, load strictly, test, hand out."""

import torch

from bandsight.errors import BandsightError, ModelError
from bandsight.model.architecture import build_model, fold_batch_norm, ignores_padding
from bandsight.model.checkpoint import find_model, load_strictly, read_weights
from bandsight.model.clip import ClipEncoder
from bandsight.model.onnx_trunk import onnx_trunk
from bandsight.model.preprocess import Preprocess
from bandsight.model.selftest import self_test
from bandsight.model.tokenizer import LazyTokenizer


def load_model(source: str = "embedded", device: str = "auto", *, check: bool = True) -> ClipEncoder:
    """Load an image-text model for any sensor.

    Args:
        source: `embedded`, `hf-hub:earthflow/GeoLB-ViT-14-SigLIP-so400m-384-EO` (or its B-16 sibling), or
            `local-dir:PATH` of a folder with open_clip_config.json and weights.
        device: `auto` (CUDA when there is one), `cpu`, `cuda`, or `cuda:N`.
        check: Run the self-test; off only for weights that are random on purpose.

    Raises:
        ModelError: Files are missing or do not fit, the device is not there, or the self-test fails.
    """
    folder = find_model(source)
    where = pick_device(device)
    try:
        model = build_model(folder.config.get("model_cfg", {}), folder.path, folder.trunk_args)
        size = int(folder.config["model_cfg"]["vision_cfg"]["image_size"])
        preprocess = Preprocess.from_config(folder.config.get("preprocess_cfg", {}), size)
    except BandsightError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {source}: its open_clip_config.json describes no model that can be built "
            f"({type(error).__name__}: {error}); get the file again"
        ) from error
    load_strictly(model, read_weights(folder), source)
    fold_batch_norm(model.visual)
    if where.type == "cpu":
        model.visual.trunk = onnx_trunk(model.visual.trunk)
    text_cfg = folder.config["model_cfg"]["text_cfg"]
    encoder = ClipEncoder(
        model,
        preprocess=preprocess,
        tokenizer=LazyTokenizer(text_cfg, folder.path, trim=ignores_padding(model)),
        device=where,
        name=source,
        digest=folder.digest(),
        license=folder.license,
        folder=folder.path,
    )
    if check:
        self_test(encoder)
    return encoder


def pick_device(device: str) -> torch.device:
    """Return the torch device that a name stands for; `auto` is CUDA when there is one.

    Raises:
        ModelError: The name is unknown, or CUDA was asked for and is not there.
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
