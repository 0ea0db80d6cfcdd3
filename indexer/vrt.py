"""Treats GDAL VRT files as lists of files. They are never opened as rasters, because they may reference anything."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from bandsight.errors import SceneError

# A VRT of a hundred thousand files has about 30 MB.
_MAX_BYTES = 64 << 20


def vrt_files(vrt: Path) -> Iterator[Path]:
    """Yield the files that a VRT references, without duplicates.

    Raises:
        SceneError: It is not a VRT, references no files, or files outside its own folder.
    """
    try:
        with vrt.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SceneError(f"{vrt}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if len(data) > _MAX_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise SceneError(f"{vrt}: not a VRT written by GDAL; pass the files that it names instead")
    try:
        named = [element for element in ET.fromstring(data).iter("SourceFilename") if element.text]  # noqa: S314  (no entities)
    except ET.ParseError as error:
        raise SceneError(f"{vrt}: not a readable VRT ({error}); pass the files that it names instead") from error
    found: dict[Path, None] = {}
    for element in named:
        text = str(element.text).strip()
        file = vrt.parent / text if element.get("relativeToVRT") == "1" else Path(text)
        if not file.resolve().is_relative_to(vrt.parent.resolve()):
            raise SceneError(f"{vrt}: references {text[:200]}, outside its own folder; pass that file itself")
        found[Path(file.parent.resolve(), file.name)] = None
    if not found:
        raise SceneError(f"{vrt}: references no files; pass the rasters it consists of")
    yield from found
