"""Published test lists: the images of a test split and their captions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bandsight.errors import QueryError

TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image in a published list."""

    captions: tuple[str, ...] = ()
    """Published captions; empty if the list has only names."""
    cls: str | None = None
    """Class, if the list groups images by class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The images of a published test list."""

    name: str
    """Name of the list, e.g. `rsicd-test`, or of the file."""
    file: Path
    """Path of the list."""
    images: dict[str, ListedImage]
    """Images by published file name, without folders and suffix."""
    published: int | None = None
    """Number of images in the published list; None if unknown."""

    def find(self, key: str) -> str | None:
        """Return the listed image that matches a data set key, by its file name or that without its first word.

        Webdataset tars often put the class or the data set before the file name, e.g. `Airport_airport_1`.
        """
        path = PurePosixPath(key)
        names = (path.name, path.stem, path.name.partition("_")[2], path.stem.partition("_")[2])
        return next((name for name in names if name in self.images), None)


@dataclass(frozen=True, slots=True)
class _Known:
    files: tuple[str, ...]
    images: int


_KNOWN = {
    "rsicd-test": _Known(("dataset_rsicd.json", "rsicd.json", "dataset.json"), 1093),
    "ucm-test": _Known(("dataset_ucm.json", "ucm.json", "dataset.json"), 210),
    "nwpu-test": _Known(("dataset_nwpu.json", "nwpu.json", "dataset.json"), 3150),
}
"""Published lists by name: names of their annotation files, and number of test images."""

NAMES = tuple(_KNOWN)


def read_split(which: str, data: Path) -> Split:
    """Read a published test list.

    Args:
        which: A name (`rsicd-test`, `ucm-test`, `nwpu-test`), whose annotation file is in the data folder or next to
            it; or a file with one name per line, or JSON annotations, of which the split `test` is used.
        data: The data set.

    Raises:
        QueryError: The list does not exist or is invalid.
    """
    known = _KNOWN.get(which)
    if known is None:
        file = Path(which).expanduser()
        if not file.is_file():
            raise QueryError(f"--split {which}: no such file; pass a file of names, or one of {', '.join(NAMES)}")
        return Split(name=file.stem, file=file, images=_read(file))
    folders = (data, data.parent) if data.is_dir() else (data.parent,)
    file_ = next((folder / name for folder in folders for name in known.files if (folder / name).is_file()), None)
    if file_ is None:
        raise QueryError(
            f"--split {which}: no {known.files[0]} in {folders[0]} or next to it; put the published annotation file "
            "there, or pass its path"
        )
    return Split(name=which, file=file_, images=_read(file_), published=known.images)


def _read(file: Path) -> dict[str, ListedImage]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        listed = _of_json(json.loads(text)) if file.suffix.lower() == ".json" else _of_lines(text)
        images: dict[str, ListedImage] = {}
        for name, image in listed:
            stem = PurePosixPath(name.replace("\\", "/")).stem
            if stem in images:
                raise QueryError(f"{file}: the name {stem!r} is listed twice; need each image once")
            images[stem] = image
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QueryError(
            f"{file}: not a list of images ({type(error).__name__}: {error}); need one file name per line, or the "
            "published annotations in JSON"
        ) from error
    if not images:
        raise QueryError(f"{file}: found no images of {TEST!r}; need names, or annotations with the split {TEST!r}")
    return images


def _of_lines(text: str) -> Iterator[tuple[str, ListedImage]]:
    for line in text.splitlines():
        if name := line.strip():
            yield name, ListedImage()


def _of_json(document: Any) -> Iterator[tuple[str, ListedImage]]:
    """Yield images from annotations: names or records in a list, under `images`, or in one list per class."""
    if isinstance(document, dict) and "images" not in document:
        for cls, records in document.items():
            for record in records:
                yield from _of_record(record, cls)
        return
    for record in document["images"] if isinstance(document, dict) else document:
        yield from _of_record(record, None)


def _of_record(record: Any, cls: str | None) -> Iterator[tuple[str, ListedImage]]:
    if isinstance(record, str):
        yield record, ListedImage(cls=cls)
        return
    if record.get("split", TEST) != TEST:
        return
    if "sentences" in record:
        captions = [one if isinstance(one, str) else one["raw"] for one in record["sentences"]]
    else:
        # NWPU-Captions: raw, raw_1 … raw_4.
        captions = [record[name] for name in ("raw", "raw_1", "raw_2", "raw_3", "raw_4") if name in record]
    yield record["filename"], ListedImage(captions=tuple(captions), cls=cls)
