"""Captioned RGB images from webdataset tars, split by image before anything else is done with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.evaluation.datasets import LabelledImage, read_dataset

SETS = {"rsicd": "aid_rsicd_train.tar", "ucm": "ucm_train.tar"}
# Longest side kept in memory; crops are taken from this.
_STORED_PX = 192


def read_sets(folder: Path, part: str) -> dict[str, list[LabelledImage]]:
    """Return one part of both sets, `rsicd` and `ucm`; the split depends on nothing but each image's name."""
    return {name: read_dataset(folder / file, part, name) for name, file in SETS.items()}


def training_images(data: Path) -> list[LabelledImage]:
    """Return all images of both sets that are trained on, no larger than training needs."""
    return [
        replace(image, pixels=_squared(image.pixels, _STORED_PX)) if max(image.pixels.shape) > _STORED_PX else image
        for images in read_sets(data, "train").values()
        for image in images
    ]


def _squared(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return bands (C, H, W) resized to a square, bicubic with antialiasing."""
    return np.stack(
        [np.asarray(Image.fromarray(band).resize((side, side), Image.Resampling.BICUBIC)) for band in pixels]
    )
