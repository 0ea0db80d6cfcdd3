"""Labelled images from a folder of class folders or from a webdataset tar."""

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
# Pictures of other types; the report names those that are left out.
_OTHER_IMAGES = (".webp", ".gif", ".bmp", ".jp2", ".heic", ".avif", ".npy", ".nc")
# Images, and values of a band in each, from which a data set's scaling is settled, at most.
_SAMPLE, _SAMPLE_VALUES = 512, 1024
_Limits = dict[NumbersOf, list[tuple[float, float]]]
# Shares of a hash: a tenth for figures alone, a twentieth to choose and calibrate on.
_HELD_OUT, _VALIDATION = 0.1, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image with its class or captions."""

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
    gsd_m: tuple[float, float] | None = None
    """Least and greatest ground sample distance that it may have, m; None where nothing says."""


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
        path: A folder with a folder of images for each class; or a tar in webdataset layout: KEY.jpg (.png, .tif)
            beside KEY.json with `cls` and `captions`, KEY.cls or KEY.txt.
        part: `held-out`, `validation` or `train`, by a hash of `name/key`; None takes all.
        name: What the data set is called in that hash; default: the folder's or file's name.
        wavelengths: Of the bands of TIFFs that do not say them, µm.
        split: A published test list: only its images, with its captions where it has any. They may be in any folder.
        left_out: Takes the key of each image that cannot be used, and why; without it, the first of them is an error.
        resized: A model's own resizing, pixels (n, bands, height, width) to its input: a large set is then kept small.

    TIFFs of other than eight bits are scaled alike, as parts of one scene are: by the 1st and 99th percentile over all
    images of the same bands, visible bands together.

    Raises:
        QueryError: There is no such folder or tar, it is damaged, or there is nothing labelled in it that can be read.
        ImageError: An image or its annotation cannot be read, and `left_out` is not given.
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
                f"{path}: holds none of the {len(split.images):,} images of {split.name} ({next(iter(split.images))}, "
                f"…); need files of those names"
            )
        if left_out is not None:
            left_out |= {one: f"of {split.name}, not in the data" for one in split.images if one not in listed}
    if not images:
        raise QueryError(
            f"{path}: found no labelled image{f' of the part {part}' if part else ''}"
            f"{f' that can be used ({_first(left_out)})' if left_out else ''}; need CLASS/IMAGE "
            f"({', '.join(_IMAGES)}), or a tar of KEY.jpg with KEY.json, KEY.cls or KEY.txt"
        )
    return images


def _chosen(
    entries: Iterator["_Entry"], path: Path, title: str, part: str | None, split: Split | None, listed: dict[str, str]
) -> Iterator["_Entry"]:
    """Yield the entries of a part and of a test list; `listed` gets the name of each in the list, and its key."""
    for entry in entries:
        if part is not None and part_of(f"{title}/{entry.key}") != part:
            continue
        if split is None:
            yield entry
        elif (name := split.find(entry.key)) is not None:
            if (other := listed.setdefault(name, entry.key)) != entry.key:
                raise QueryError(f"{path}: {other} and {entry.key} are both {name!r} of {split.name}; keep one of them")
            yield _with_listed(entry, split.images[name])


def _first(left_out: dict[str, str]) -> str:
    key, reason = next(iter(left_out.items()))
    return f"{key}: {reason}" + (f", and {len(left_out) - 1} more" if len(left_out) > 1 else "")


def share_of(name: str) -> float:
    """Return a number in 0..1 that follows from a name by a hash; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def part_of(name: str) -> str:
    """Say which part a name falls into; the same on every machine."""
    share = share_of(name)
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
    """To be called before the next entry is asked for; an `ImageError` says why there is nothing."""
    cls: str | None
    captions: tuple[str, ...]
    tiff: bool
    gsd_m: tuple[float, float] | None = None


def _with_listed(entry: "_Entry", listed: ListedImage) -> "_Entry":
    captions = tuple(text for text in map(tidy, listed.captions) if text)
    cls = class_words(listed.cls) if listed.cls else entry.cls
    return replace(entry, captions=captions or entry.captions, cls=cls)


def _refused(reason: str) -> bytes:
    """Stand for the reading of what is known to be of no use before it is read."""
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
            # What begins with a dot is no picture but what systems note beside one.
            if file.name.startswith(".") or suffix not in (*_IMAGES, *_OTHER_IMAGES):
                continue
            read = partial(_file, file)
            if suffix in _OTHER_IMAGES:
                read = partial(_refused, f"a {suffix} file; need a PNG, a JPEG or a GeoTIFF")
            elif not file.is_file():
                read = partial(_refused, "a link to nothing" if file.is_symlink() else "no file")
            found = True
            yield _Entry(key, read, cls, (), suffix in _TIFFS)
        if not found:
            yield _Entry(f"{folder.name}/", partial(_refused, "no image in this folder"), cls, (), tiff=False)


def _file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error


_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of a tar that is damaged or cut short that it is."""
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
    """Return the class, the captions and the ground sample distance that files beside an image say, by their suffixes.

    The later class wins.
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
    """Return a ground sample distance, one number or two, as a range; what is neither says nothing."""
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
            # An unreadable image is reported when it is read.
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
