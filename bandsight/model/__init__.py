"""Image-text encoders: one loader for DOFA-CLIP and for the small model in this package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder

__all__ = ["load_model"]


def load_model(source: str = "embedded", device: str = "auto", *, check: bool = True) -> "ClipEncoder":
    """Load a model; see `bandsight.model.loader.load_model`. Torch is imported only when this is called."""
    from bandsight.model import loader

    return loader.load_model(source, device, check=check)
