"""Labelled images from a folder of class folders or from a webdataset tar."""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ImageError, QueryError
from bandsight.query_image import NumbersOf, decode_query_image, numbers, unscaled
from bandsight.sensors.scaling import percentile_limits

PARTS = ("held-out", "validation", "train")
_TIFFS = (".tif", ".tiff")
_IMAGES = (".png", ".jpg", ".jpeg", *_TIFFS)
# Images, and values of a band in each, from which a data set's scaling is settled, at most.
_SAMPLE, _SAMPLE_VALUES = 512, 1024
_Limits = dict[NumbersOf, list[tuple[float, float]]]
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

    TIFFs of other than eight bits are scaled alike, as parts of one scene are: by the 1st and 99th percentile over all
    images of the same bands, visible bands together.

    Raises:
        QueryError: There is no such folder or tar, or nothing labelled in it.
        ImageError: An image cannot be read.
    """
    if part is not None and part not in PARTS:
        raise QueryError(f"part {part!r}: need one of {', '.join(PARTS)}")
    if not path.exists():
        raise QueryError(f"{path}: no such file or folder; pass a folder of class folders or a webdataset tar")
    title = name or path.stem
    read = _folder if path.is_dir() else _tar
    limits = _limits(read(path), wavelengths)
    images = [
        _decoded(entry, wavelengths, limits)
        for entry in read(path)
        if part is None or part_of(f"{title}/{entry.key}") == part
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


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    read: Callable[[], bytes]
    """To be called before the next entry is asked for."""
    cls: str | None
    captions: tuple[str, ...]
    tiff: bool


def _folder(path: Path) -> Iterator[_Entry]:
    for file in sorted(path.glob("*/**/*")):
        if file.suffix.lower() in _IMAGES:
            cls = file.relative_to(path).parts[0]
            key = file.relative_to(path).as_posix()
            yield _Entry(key, file.read_bytes, class_words(cls), (), file.suffix.lower() in _TIFFS)


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
                words = class_words(str(cls)) if cls is not None else None
                tiff = PurePosixPath(image).suffix.lower() in _TIFFS
                yield _Entry(key, partial(read, image), words, captions, tiff)


def _decoded(entry: _Entry, said: Sequence[float] | None, limits: _Limits) -> LabelledImage:
    try:
        pixels, wavelengths = decode_query_image(entry.read(), said, limits=limits)
    except ImageError as error:
        raise ImageError(f"{entry.key}: {error}") from error
    return LabelledImage(key=entry.key, pixels=pixels, wavelengths=wavelengths, cls=entry.cls, captions=entry.captions)


def _limits(entries: Iterator[_Entry], said: Sequence[float] | None) -> _Limits:
    """Return what becomes 0 and 255 in each band of TIFFs that do not say so, from some of them."""
    rng = np.random.default_rng(0)
    samples: dict[NumbersOf, _Sample] = {}
    for entry in entries:
        if not entry.tiff:
            continue
        try:
            data = entry.read()
            kind = unscaled(data, said)
            if kind is None:
                continue
            sample = samples.setdefault(kind, _Sample())
            if sample.takes():
                sample.add(numbers(data), rng)
        except ImageError:
            # What cannot be read is said where it is asked for.
            continue
    return {key: percentile_limits(bands, key[1]) for key, sample in samples.items() if (bands := sample.bands())}


class _Sample:
    """Values of some of the images that can be scaled by one rule: of all while they are few, then of every n-th."""

    def __init__(self) -> None:
        self._images: list[list[NDArray[np.float32]]] = []
        self._seen, self._step = 0, 1

    def takes(self) -> bool:
        """Say whether it is this image's turn; asked once for each."""
        self._seen += 1
        return (self._seen - 1) % self._step == 0

    def add(self, values: np.ma.MaskedArray[Any, Any], rng: np.random.Generator) -> None:
        """Keep some values of each band."""
        valid = [band.compressed().astype(np.float32) for band in values]
        self._images.append([rng.choice(v, _SAMPLE_VALUES) if len(v) > _SAMPLE_VALUES else v for v in valid])
        if len(self._images) == _SAMPLE:
            self._step *= 2
            del self._images[1::2]

    def bands(self) -> list[NDArray[np.float32]]:
        """Return the values of each band; nothing where a band has none."""
        bands = [np.concatenate(values) for values in zip(*self._images, strict=True)]
        return bands if all(len(values) for values in bands) else []
