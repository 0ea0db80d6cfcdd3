"""Published test lists: which images of a data set count, and the captions that were published with them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bandsight.errors import QueryError

TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """What a published list says about one image."""

    captions: tuple[str, ...] = ()
    """Its captions as they were published; empty where the list has names only."""
    cls: str | None = None
    """Its class, where the list groups images by class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The images of a published test list."""

    name: str
    """What it is called, e.g. `rsicd-test` or the file's name."""
    file: Path
    """The list."""
    images: dict[str, ListedImage]
    """By file name as published, without folders and suffix."""
    published: int | None = None
    """How many images the published list has; None where that is not known."""

    def find(self, key: str) -> str | None:
        """Return which listed image a key of a data set is: its file name, or that without its first word.

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
"""Published lists by name: what their annotation files are called, and how many test images they have."""

NAMES = tuple(_KNOWN)


def read_split(which: str, data: Path) -> Split:
    """Read a published test list.

    Args:
        which: A name (`rsicd-test`, `ucm-test`, `nwpu-test`), whose annotation file is in the data's folder or
            beside it; or a file: names, one a line, or annotations in JSON, of which the images of `test` count.
        data: The data set.

    Raises:
        QueryError: There is no such list, or it cannot be read.
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
            f"--split {which}: no {known.files[0]} in {folders[0]} or beside it; put the published annotation file "
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
            f"{file}: not a list of images ({type(error).__name__}: {error}); need a file name in each line, or the "
            "published annotations in JSON"
        ) from error
    if not images:
        raise QueryError(f"{file}: found no image of {TEST!r}; need names, or annotations with the split {TEST!r}")
    return images


def _of_lines(text: str) -> Iterator[tuple[str, ListedImage]]:
    for line in text.splitlines():
        if name := line.strip():
            yield name, ListedImage()


def _of_json(document: Any) -> Iterator[tuple[str, ListedImage]]:
    """Yield what annotations say: names or records in a list, under `images`, or in a list for each class."""
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
