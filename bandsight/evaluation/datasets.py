"""Reads labelled images from a folder of class folders or a webdataset tar."""

import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ImageError, QueryError
from bandsight.evaluation.splits import ListedImage, Split
from bandsight.query_image import NumbersOf, decode_query_image, numbers, unscaled
from bandsight.sensors.scaling import percentile_limits

PARTS = ("held-out", "validation", "train")
_TIFFS = (".tif", ".tiff")
_IMAGES = (".png", ".jpg", ".jpeg", *_TIFFS)
# Other image types; the report lists skipped ones.
_OTHER_IMAGES = (".webp", ".gif", ".bmp", ".jp2", ".heic", ".avif", ".npy", ".nc")
# Maximum number of images, and of values per band and image, to estimate a data set's scaling.
_SAMPLE, _SAMPLE_VALUES = 512, 1024
_Limits = dict[NumbersOf, list[tuple[float, float]]]
# Hash ranges: 10% held out for evaluation, 5% for validation and calibration.
_HELD_OUT, _VALIDATION = 0.1, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image with its class or captions."""

    key: str
    """Name within the data set."""
    pixels: NDArray[np.uint8]
    """Shape (bands, height, width)."""
    wavelengths: tuple[float, ...]
    """Centre wavelength of each band, µm."""
    cls: str | None
    """Class as words, e.g. `dense residential`; None if there are only captions."""
    captions: tuple[str, ...] = ()
    """Captions of the image."""
    gsd_m: tuple[float, float] | None = None
    """Range of possible ground sample distances, m; None if unknown."""


def read_dataset(
    path: Path,
    part: str | None = None,
    name: str | None = None,
    wavelengths: Sequence[float] | None = None,
    *,
    split: Split | None = None,
    left_out: dict[str, str] | None = None,
    resized: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> list[LabelledImage]:
    """Read all images of a data set, or one part of it.

    Args:
        path: A folder with a subfolder of images for each class, or a webdataset tar: KEY.jpg (.png, .tif) with
            KEY.json (`cls` and `captions`), KEY.cls or KEY.txt.
        part: `held-out`, `validation` or `train`, by a hash of `name/key`; None takes all.
        name: Name of the data set in that hash; defaults to the name of the folder or file.
        wavelengths: Wavelengths of the bands of TIFFs that do not state them, µm.
        split: A published test list; restricts the data set to its images, with its captions if it has any. The images
            may be in any folder.
        left_out: Collects the key of each unusable image and the reason. If None, the first one raises an error.
        resized: Resizes pixels (n, bands, height, width) to the model's input, to save memory.

    TIFFs that are not 8-bit share one scaling, like tiles of a scene: the 1st and 99th percentiles over all images with
    the same bands, with visible bands together.

    Raises:
        QueryError: The folder or tar does not exist, is damaged, or contains no usable labelled images.
        ImageError: An image or its annotation is invalid, and `left_out` is None.
    """
    if part is not None and part not in PARTS:
        raise QueryError(f"part {part!r}: need one of {', '.join(PARTS)}")
    if not path.exists():
        raise QueryError(f"{path}: no such file or folder; pass a folder of class folders or a webdataset tar")
    title = name or path.stem
    read = partial(_folder if path.is_dir() else _tar, unlabelled=split is not None)
    limits = _limits(read(path), wavelengths)
    images: list[LabelledImage] = []
    listed: dict[str, str] = {}
    for entry in _chosen(read(path), path, title, part, split, listed):
        try:
            image = _decoded(entry, wavelengths, limits)
            images.append(image if resized is None else replace(image, pixels=resized(image.pixels[None])[0]))
        except ImageError as error:
            if left_out is None:
                raise ImageError(f"{path}: {entry.key}: {error}") from error
            left_out[entry.key] = str(error)
    if split is not None and part is None:
        if not listed:
            raise QueryError(
                f"{path}: contains none of the {len(split.images):,} images of {split.name} "
                f"({next(iter(split.images))}, "
                f"…); need files with these names"
            )
        if left_out is not None:
            left_out |= {one: f"listed in {split.name}, but missing" for one in split.images if one not in listed}
    if not images:
        raise QueryError(
            f"{path}: found no labelled images{f' in part {part}' if part else ''}"
            f"{f', only unusable ones ({_first(left_out)})' if left_out else ''}; need CLASS/IMAGE "
            f"({', '.join(_IMAGES)}), or a tar of KEY.jpg with KEY.json, KEY.cls or KEY.txt"
        )
    return images


def _chosen(
    entries: Iterator["_Entry"], path: Path, title: str, part: str | None, split: Split | None, listed: dict[str, str]
) -> Iterator["_Entry"]:
    """Yield the entries of a part and a test list; records list name and key of each in `listed`."""
    for entry in entries:
        if part is not None and part_of(f"{title}/{entry.key}") != part:
            continue
        if split is None:
            yield entry
        elif (name := split.find(entry.key)) is not None:
            if (other := listed.setdefault(name, entry.key)) != entry.key:
                raise QueryError(
                    f"{path}: {other} and {entry.key} both match {name!r} of {split.name}; remove one of them"
                )
            yield _with_listed(entry, split.images[name])


def _first(left_out: dict[str, str]) -> str:
    key, reason = next(iter(left_out.items()))
    return f"{key}: {reason}" + (f", and {len(left_out) - 1} more" if len(left_out) > 1 else "")


def share_of(name: str) -> float:
    """Hash a name to a number in 0..1; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def part_of(name: str) -> str:
    """Return the part that a name belongs to, by its hash; the same on every machine."""
    share = share_of(name)
    if share < _HELD_OUT:
        return "held-out"
    return "validation" if share < _VALIDATION else "train"


def tidy(caption: str) -> str:
    """Normalise a caption as a user would type it: lower case, without a full stop."""
    return " ".join(caption.lower().replace(" .", "").rstrip(". ").split())


def class_words(name: str) -> str:
    """Return a class name as words, e.g. from `DenseResidential`, `dense_residential` or `denseresidential`."""
    spaced = "".join(
        f" {char}" if char.isupper() and i and not name[i - 1].isupper() else char for i, char in enumerate(name)
    )
    words = " ".join(spaced.replace("_", " ").replace("-", " ").lower().split())
    return _RUN_TOGETHER.get(words, words)


# Class names of UC Merced that are written as one word.
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
    """Returns the bytes. Call it before the next entry is yielded. Raises `ImageError` if unusable."""
    cls: str | None
    captions: tuple[str, ...]
    tiff: bool
    gsd_m: tuple[float, float] | None = None


def _with_listed(entry: "_Entry", listed: ListedImage) -> "_Entry":
    captions = tuple(text for text in map(tidy, listed.captions) if text)
    cls = class_words(listed.cls) if listed.cls else entry.cls
    return replace(entry, captions=captions or entry.captions, cls=cls)


def _refused(reason: str) -> bytes:
    """Raise for an entry that is known to be unusable."""
    raise ImageError(reason)


def _folder(path: Path, *, unlabelled: bool) -> Iterator[_Entry]:
    if unlabelled:
        for file in sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")):
            if file.suffix.lower() in _IMAGES:
                yield _Entry(file.name, partial(_file, file), None, (), file.suffix.lower() in _TIFFS)
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        cls, found = class_words(folder.name), False
        for file in sorted(folder.rglob("*")):
            key, suffix = file.relative_to(path).as_posix(), file.suffix.lower()
            # Dotfiles are metadata of the operating system.
            if file.name.startswith(".") or suffix not in (*_IMAGES, *_OTHER_IMAGES):
                continue
            read = partial(_file, file)
            if suffix in _OTHER_IMAGES:
                read = partial(_refused, f"a {suffix} file; need a PNG, a JPEG or a GeoTIFF")
            elif not file.is_file():
                read = partial(_refused, "a broken link" if file.is_symlink() else "not a file")
            found = True
            yield _Entry(key, read, cls, (), suffix in _TIFFS)
        if not found:
            yield _Entry(f"{folder.name}/", partial(_refused, "no images in this folder"), cls, (), tiff=False)


def _file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error


_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Report damaged or truncated tars."""
    try:
        yield
    except _DAMAGE as error:
        raise QueryError(f"{path}: a damaged or truncated tar ({error}); get the whole file") from error


def _tar(path: Path, *, unlabelled: bool) -> Iterator[_Entry]:
    try:
        tar = tarfile.open(path)  # noqa: SIM115  (closed below)
    except _DAMAGE as error:
        reason = str(error).splitlines()[0]
        raise QueryError(f"{path}: not a tar ({reason}); pass a folder of class folders or a webdataset tar") from error
    with tar:
        with _whole(path):
            members = {member.name: member for member in tar.getmembers() if member.isfile()}

        def read(name: str) -> bytes:
            with _whole(path):
                file = tar.extractfile(members[name])
                return file.read() if file else b""

        for image in sorted(members):
            suffix = PurePosixPath(image).suffix
            if suffix.lower() not in _IMAGES:
                continue
            key, tiff = image[: -len(suffix)], suffix.lower() in _TIFFS
            try:
                cls, captions, gsd_m = _said({end: read(key + end) for end in _LABELS if key + end in members})
            except ImageError as error:
                yield _Entry(key, partial(_refused, str(error)), None, (), tiff)
                continue
            if cls is not None or captions or unlabelled:
                yield _Entry(key, partial(read, image), cls, captions, tiff, gsd_m)


_LABELS = (".json", ".cls", ".txt")


def _said(files: dict[str, bytes]) -> tuple[str | None, tuple[str, ...], tuple[float, float] | None]:
    """Return class, captions and ground sample distance from the label files of an image, by suffix.

    The last class wins.
    """
    texts = {}
    for suffix, data in files.items():
        try:
            texts[suffix] = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ImageError(f"{suffix}: not UTF-8 ({error.reason} at byte {error.start})") from error
    cls: str | None = None
    captions: list[str] = []
    gsd_m = None
    if ".json" in texts:
        try:
            said = json.loads(texts[".json"])
        except ValueError as error:
            raise ImageError(f".json: not JSON ({error})") from error
        if not isinstance(said, dict):
            raise ImageError(f".json: found a JSON {type(said).__name__}, need an object with cls and captions")
        if said.get("cls") is not None:
            cls = str(said["cls"])
        gsd_m = _range(said.get("gsd_m"))
        listed = said.get("captions") or []
        captions = [listed] if isinstance(listed, str) else listed
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise ImageError(f".json: captions are {json.dumps(listed)[:60]}; need a list of sentences")
    if ".cls" in texts:
        cls = texts[".cls"].strip()
    captions = [*captions, *texts.get(".txt", "").splitlines()]
    tidied = tuple(text for text in map(tidy, captions) if text)
    return (class_words(cls) if cls else None), tidied, gsd_m


def _range(said: Any) -> tuple[float, float] | None:
    """Return a ground sample distance, given as a number or a pair, as a range; None if it is neither."""
    values = said if isinstance(said, list) and len(said) == 2 else [said, said]  # noqa: PLR2004
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    low, high = sorted(float(value) for value in values)
    return (low, high) if 0 < low <= high < float("inf") else None


def _decoded(entry: _Entry, said: Sequence[float] | None, limits: _Limits) -> LabelledImage:
    try:
        pixels, wavelengths = decode_query_image(entry.read(), said if entry.tiff else None, limits=limits)
    except ImageError as error:
        raise ImageError(str(error).removeprefix("query image: ")) from error
    return LabelledImage(
        key=entry.key,
        pixels=pixels,
        wavelengths=wavelengths,
        cls=entry.cls,
        captions=entry.captions,
        gsd_m=entry.gsd_m,
    )


def _limits(entries: Iterator[_Entry], said: Sequence[float] | None) -> _Limits:
    """Return the values mapped to 0 and 255 in each band of TIFFs without stretch tags, from a sample."""
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
            # Unreadable images are reported when they are read.
            continue
    return {key: percentile_limits(bands, key[1]) for key, sample in samples.items() if (bands := sample.bands())}


class _Sample:
    """A sample of values from images that share a scaling: from all while there are few, then from every n-th."""

    def __init__(self) -> None:
        self._images: list[list[NDArray[np.float32]]] = []
        self._seen, self._step = 0, 1

    def takes(self) -> bool:
        """Return whether to sample this image; call this once per image."""
        self._seen += 1
        return (self._seen - 1) % self._step == 0

    def add(self, values: np.ma.MaskedArray[Any, Any], rng: np.random.Generator) -> None:
        """Add a sample of each band."""
        valid = [band.compressed().astype(np.float32) for band in values]
        self._images.append([rng.choice(v, _SAMPLE_VALUES) if len(v) > _SAMPLE_VALUES else v for v in valid])
        if len(self._images) == _SAMPLE:
            self._step *= 2
            del self._images[1::2]

    def bands(self) -> list[NDArray[np.float32]]:
        """Return the values of each band; empty if any band has none."""
        bands = [np.concatenate(values) for values in zip(*self._images, strict=True)]
        return bands if all(len(values) for values in bands) else []
