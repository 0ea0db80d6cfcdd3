"""Labelled images from a folder of class folders or from a webdataset tar."""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ImageError, QueryError
from bandsight.query_image import decode_query_image

PARTS = ("held-out", "validation", "train")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# Shares of a hash: a tenth for figures alone, a twentieth to choose and calibrate on.
_HELD_OUT, _VALIDATION = 0.1, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image, and what is said about it."""

    key: str
    """Name within the data set."""
    pixels: NDArray[np.uint8]
    """Shape (bands, height, width)."""
    wavelengths: tuple[float, ...]
    """Centre of each band, µm."""
    cls: str | None
    """Its class as words, e.g. `dense residential`; None where there are captions only."""
    captions: tuple[str, ...] = ()
    """Sentences about it."""


def read_dataset(
    path: Path, part: str | None = None, name: str | None = None, wavelengths: Sequence[float] | None = None
) -> list[LabelledImage]:
    """Read all images of a data set, or one part of it.

    Args:
        path: A folder with a folder of images for each class; or a tar in webdataset layout: KEY.jpg (.png, .tif)
            beside KEY.json with `cls` and `captions`, KEY.cls or KEY.txt.
        part: `held-out`, `validation` or `train`, by a hash of `name/key`; None takes all.
        name: What the data set is called in that hash; default: the folder's or file's name.
        wavelengths: Of the bands of TIFFs that do not say them, µm.

    Raises:
        QueryError: There is no such folder or tar, or nothing labelled in it.
        ImageError: An image cannot be read.
    """
    if part is not None and part not in PARTS:
        raise QueryError(f"part {part!r}: need one of {', '.join(PARTS)}")
    if not path.exists():
        raise QueryError(f"{path}: no such file or folder; pass a folder of class folders or a webdataset tar")
    title = name or path.stem
    entries = _folder(path) if path.is_dir() else _tar(path)
    images = [
        _decoded(key, data, cls, captions, wavelengths)
        for key, data, cls, captions in entries
        if part is None or part_of(f"{title}/{key}") == part
    ]
    if not images:
        raise QueryError(
            f"{path}: found no labelled image{f' of the part {part}' if part else ''}; need CLASS/IMAGE "
            f"({', '.join(_IMAGES)}), or a tar of KEY.jpg with KEY.json, KEY.cls or KEY.txt"
        )
    return images


def part_of(name: str) -> str:
    """Say which part a name falls into; the same on every machine."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    if share < _HELD_OUT:
        return "held-out"
    return "validation" if share < _VALIDATION else "train"


def tidy(caption: str) -> str:
    """Return a caption as a person would type it: lower case, without the full stop."""
    return " ".join(caption.lower().replace(" .", "").rstrip(". ").split())


def class_words(name: str) -> str:
    """Return a class name as words: `DenseResidential`, `dense_residential` and `denseresidential` alike."""
    spaced = "".join(
        f" {char}" if char.isupper() and i and not name[i - 1].isupper() else char for i, char in enumerate(name)
    )
    words = " ".join(spaced.replace("_", " ").replace("-", " ").lower().split())
    return _RUN_TOGETHER.get(words, words)


# Names that UC Merced's captions write as one word.
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

_Entry = tuple[str, bytes, str | None, tuple[str, ...]]


def _folder(path: Path) -> Iterator[_Entry]:
    for file in sorted(path.glob("*/**/*")):
        if file.suffix.lower() in _IMAGES:
            cls = file.relative_to(path).parts[0]
            yield file.relative_to(path).as_posix(), file.read_bytes(), class_words(cls), ()


def _tar(path: Path) -> Iterator[_Entry]:
    try:
        tar = tarfile.open(path)  # noqa: SIM115  (closed below)
    except (tarfile.TarError, OSError) as error:
        raise QueryError(f"{path}: not a tar ({error}); pass a folder of class folders or a webdataset tar") from error
    with tar:
        members = {member.name: member for member in tar.getmembers() if member.isfile()}

        def read(name: str) -> bytes:
            file = tar.extractfile(members[name])
            return file.read() if file else b""

        for image in sorted(members):
            if PurePosixPath(image).suffix.lower() not in _IMAGES:
                continue
            key = image[: -len(PurePosixPath(image).suffix)]
            cls: str | None = None
            captions: tuple[str, ...] = ()
            if f"{key}.json" in members:
                said = json.loads(read(f"{key}.json"))
                cls, captions = said.get("cls"), tuple(tidy(text) for text in said.get("captions", ()))
            if f"{key}.cls" in members:
                cls = read(f"{key}.cls").decode().strip()
            if f"{key}.txt" in members:
                captions = (*captions, *(tidy(line) for line in read(f"{key}.txt").decode().splitlines() if line))
            if cls is not None or captions:
                yield key, read(image), class_words(str(cls)) if cls is not None else None, captions


def _decoded(
    key: str, data: bytes, cls: str | None, captions: tuple[str, ...], said: Sequence[float] | None
) -> LabelledImage:
    try:
        pixels, wavelengths = decode_query_image(data, said)
    except ImageError as error:
        raise ImageError(f"{key}: {error}") from error
    return LabelledImage(key=key, pixels=pixels, wavelengths=wavelengths, cls=cls, captions=captions)
