"""Images with captions or optical twins, from webdataset tars, and their split."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile

from bandsight.evaluation.datasets import LabelledImage, class_words, tidy

RGB_UM = (0.665, 0.56, 0.49)
# Tar of each set, and the share of its images in an epoch. Small sets with human captions are oversampled, and EuroSAT,
# whose captions come from templates, is undersampled.
SETS: dict[str, tuple[str, float]] = {
    "rsicd": ("aid_rsicd_train.tar", 1.0),
    "ucm": ("ucm_train.tar", 1.5),
    "nwpu": ("more/nwpu_captions.tar", 1.75),
    "eurosat": ("more/eurosat_rgb.tar", 0.6),
    "rsicd_other": ("more/rsicd_other.tar", 1.5),
    "uavic": ("more/uavic.tar", 1.5),
    "cloud_desert": ("more/cloud_desert.tar", 1.5),
}
# Sets with other bands. `twins` are pairs of Sentinel-1 and Sentinel-2 images of the same ground, without captions.
OTHER_SETS = {
    "hls": "more/hls7_worldcover.tar",
    "ships": "more/opensarship_s1.tar",
    "thermal": "more/hituav_thermal.tar",
    "twins": "more/s1s2_pairs.tar",
}
# One in this many images is for validation; in sets from a few flights, products or places, these ones are.
_VALIDATION = 20
_HELD = {
    "uavic": {"105"},
    "ships": {"S1A_IW_GRDH_1SDV_20160518T084127_20160518T084152_011311_011260_84AB"},
    "twins": {"-118.7", "-118.6", "-117.5"},
}
# Maximum side of images in memory, pixels.
_STORED_PX = 192


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(LabelledImage):
    """A labelled image, which may show the same ground as another one."""

    pair: str | None = None
    """Name shared by images of the same ground."""


def read_examples(data: Path, name: str, part: str) -> list[Example]:
    """Return the `train` or `validation` part of a set of `SETS` or `OTHER_SETS`, or the `whole` set.

    The split keeps neighbours together if they are known: by Sentinel-1 product, tenth of a degree of longitude, or
    drone flight. Otherwise it is by image.
    """
    file = SETS[name][0] if name in SETS else OTHER_SETS[name]
    out = []
    with tarfile.open(data / file) as tar:
        said: dict[str, dict[str, Any]] = {}
        images: dict[str, tuple[str, bytes]] = {}
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None:
                continue
            key, suffix = str(PurePosixPath(member.name).with_suffix("")), PurePosixPath(member.name).suffix
            if suffix == ".json":
                said[key] = json.loads(stream.read())
            else:
                images[key] = (suffix, stream.read())
    for key, (suffix, content) in images.items():
        about = said[key]
        if part not in {"whole", _part(name, key, about)}:
            continue
        pixels = _tiff(content) if suffix == ".tif" else _picture(content)
        waves = tuple(about.get("wavelengths_um", RGB_UM))
        captions = tuple(tidy(each) for each in about.get("captions", ()))
        cls = class_words(about["cls"]) if about.get("cls") and name != "thermal" else None
        out.append(
            Example(key=key, pixels=pixels, wavelengths=waves, cls=cls, captions=captions, pair=about.get("pair"))
        )
    return out


def _part(name: str, key: str, about: dict[str, Any]) -> str:
    if name in _HELD:
        flight, product = key.split("_")[1], str(about.get("scene"))
        place = f"{about['lon']:.1f}" if "lon" in about else ""
        return "validation" if _HELD[name] & {flight, product, place} else "train"
    number = int.from_bytes(hashlib.sha256(f"{name}/{key}".encode()).digest()[:4], "big")
    return "validation" if number % _VALIDATION == 0 else "train"


def _picture(content: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if max(image.size) > _STORED_PX:
        image = image.resize((_STORED_PX, _STORED_PX), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _tiff(content: bytes) -> NDArray[np.uint8]:
    with MemoryFile(content) as memory, memory.open() as dataset:
        pixels: NDArray[np.uint8] = dataset.read()
    return pixels


def paired(examples: list[Example]) -> list[tuple[Example, Example]]:
    """Return pairs of Sentinel-1 and Sentinel-2 images of the same ground, from the set `twins`."""
    pairs: dict[str, list[Example]] = {}
    for example in examples:
        pairs.setdefault(str(example.pair), []).append(example)
    whole = [sorted(pair, key=lambda each: len(each.wavelengths)) for pair in pairs.values() if len(pair) == 2]
    return [(radar, optical) for radar, optical in whole]
