"""Image-text encoders: one loader for DOFA-CLIP and for the small model in this package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder
    from bandsight.model.protocol import Encoder

__all__ = ["load_for_queries", "load_model"]


def load_model(source: str = "embedded", device: str = "auto", *, check: bool = True) -> "ClipEncoder":
    """Load a model; see `bandsight.model.loader.load_model`. Torch is imported only when this is called."""
    from bandsight.model import loader

    return loader.load_model(source, device, check=check)


def load_for_queries(source: str = "embedded", device: str = "auto") -> "Encoder":
    """Load a model to embed queries with; see `bandsight.model.light.load_for_queries`.

    Sentences are embedded without PyTorch where the model's text tower allows it, as the embedded model's does; PyTorch
    is then imported by the first picture.
    """
    from bandsight.model import light

    return light.load_for_queries(source, device, lambda: load_model(source, device))
