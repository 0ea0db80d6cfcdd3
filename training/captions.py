"""Captioned RGB images from webdataset tars, split by image before anything else is done with them."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SETS = {"rsicd": "aid_rsicd_train.tar", "ucm": "ucm_train.tar"}
# Longest side kept in memory; crops are taken from this.
_STORED_PX = 192
_HELD_OUT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedImage:
    """One image with its sentences and class."""

    key: str
    """Name in the tar."""
    dataset: str
    """`rsicd` or `ucm`."""
    held_out: bool
    """True for the tenth that no training step sees."""
    cls: str
    """Scene class as words, e.g. `dense residential`."""
    captions: tuple[str, ...]
    """Sentences about it, repeats included."""
    pixels: NDArray[np.uint8]
    """RGB, shape (3, height, width)."""


def read_sets(folder: Path) -> list[CaptionedImage]:
    """Read both sets; the split depends on nothing but each image's name."""
    images: list[CaptionedImage] = []
    for dataset, file in SETS.items():
        with tarfile.open(folder / file) as tar:
            members = {member.name: member for member in tar.getmembers() if member.isfile()}
            for name in sorted(name for name in members if name.endswith(".json")):
                key = name.removesuffix(".json")
                info = json.loads(_bytes(tar, members[name]))
                with Image.open(io.BytesIO(_bytes(tar, members[f"{key}.jpg"]))) as opened:
                    image = opened.convert("RGB")
                if max(image.size) > _STORED_PX:
                    image = image.resize((_STORED_PX, _STORED_PX), Image.Resampling.BICUBIC)
                images.append(
                    CaptionedImage(
                        key=key,
                        dataset=dataset,
                        held_out=is_held_out(f"{dataset}/{key}"),
                        cls=class_words(info["cls"]),
                        captions=tuple(tidy(caption) for caption in info["captions"]),
                        pixels=np.asarray(image).transpose(2, 0, 1).copy(),
                    )
                )
    return images


def is_held_out(name: str) -> bool:
    """Say whether a name falls into the held-out tenth; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 < _HELD_OUT


def tidy(caption: str) -> str:
    """Return a caption as a person would type it: lower case, no space before the full stop, which goes."""
    return " ".join(caption.lower().replace(" .", "").rstrip(". ").split())


def class_words(name: str) -> str:
    """Return a class name as words: `DenseResidential` and `denseresidential` → `dense residential`."""
    spaced = "".join(f" {char.lower()}" if char.isupper() else char for char in name).strip()
    return _RUN_TOGETHER.get(spaced, spaced)


_RUN_TOGETHER = {
    "golfcourse": "golf course",
    "sparseresidential": "sparse residential",
    "tenniscourt": "tennis court",
    "denseresidential": "dense residential",
    "mediumresidential": "medium residential",
    "parkinglot": "parking lot",
    "mobilehomepark": "mobile home park",
    "storagetanks": "storage tanks",
    "baseballdiamond": "baseball diamond",
}


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()
