"""Image-text encoders: one loader for DOFA-CLIP and for the small model in this package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder
    from bandsight.model.light import LightEncoder
    from bandsight.model.protocol import Encoder

__all__ = ["load_for_queries", "load_model"]


def load_model(source: str = "embedded", device: str = "auto", *, check: bool = True) -> "ClipEncoder | LightEncoder":
    """Load an image-text model for any sensor; on a CPU without PyTorch if both of its towers are supported.

    Args:
        source: `embedded`, `hf-hub:earthflow/GeoLB-ViT-14-SigLIP-so400m-384-EO` (or its B-16 sibling), or
            `local-dir:PATH` of a folder with open_clip_config.json and weights.
        device: `auto` (CUDA when available), `cpu`, `cuda`, or `cuda:N`.
        check: Run the self-test. Turn it off for random weights.

    Raises:
        ModelError: Files are missing or do not match, the device is not available, or the self-test fails.
    """
    from bandsight.model import light
    from bandsight.model.folder import find_model

    # Look it up only once, because each lookup queries the hub.
    folder = find_model(source)

    def whole() -> "ClipEncoder":
        from bandsight.model import loader

        return loader.load_folder(folder, device, check=check)

    if device == "cpu" or (device == "auto" and not light.may_have_gpu()):
        encoder = light.light_encoder(folder, whole, check=check)
        if encoder is not None and encoder.images() is not None:
            return encoder
    return whole()


def load_for_queries(source: str = "embedded", device: str = "auto") -> "Encoder":
    """Load a model to embed queries. Imports PyTorch only for a GPU or for unsupported towers.

    Args:
        source: See `load_model`.
        device: See `load_model`; `auto` is the CPU if the towers are supported, where a query takes milliseconds.

    Raises:
        ModelError: See `load_model`.
    """
    from bandsight.model import light
    from bandsight.model.folder import find_model

    folder = find_model(source)

    def whole() -> "ClipEncoder":
        from bandsight.model import loader

        return loader.load_folder(folder, device, check=True)

    known = light.light_encoder(folder, whole) if device in ("auto", "cpu") else None
    return known or whole()
