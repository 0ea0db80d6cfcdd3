"""Which files make which scene: each raster is one, unless band files that belong together are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bandsight.sensors.groups import group_bands
from bandsight.sensors.profile import Profile
from indexer.said import Said
from indexer.sidecar import SUFFIX as SIDECAR

# What a folder is searched for; a file named by the user is tried whatever it is called.
SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".nc", ".img", ".dat", ".bsq", ".bil", ".bip", ".png", ".jpg", ".jpeg"})
_SAFE = ".SAFE"
# Sentinel-2's level 2A names the resolution of each file, in m.
_RESOLUTION = re.compile(r"_(\d\d)m$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one scene."""

    name: str
    """Short name for people."""
    hrefs: tuple[str, ...]
    """What `open_raster` takes; files of this machine by their absolute paths, sorted."""
    said: Said | None = None
    """What the catalogue that named it says; None where the product's own metadata are to be looked for."""
    version: str = ""
    """Of remote files: what tells a change, e.g. the item's `updated`."""


def find_scenes(paths: Iterable[str | Path], profiles: Sequence[Profile] | None = None) -> list[Source]:
    """Return the scenes under files and folders, each once, in the order of their paths.

    Args:
        paths: Files are taken as they are; folders are searched, with all folders in them.
        profiles: They know the names of band files; None for the shipped ones.
    """
    files: dict[Path, None] = {}
    for path in paths:
        absolute = Path(path).expanduser().absolute()
        if absolute.is_dir():
            found = (file for file in sorted(absolute.rglob("*")) if _is_raster(file))
            files.update(dict.fromkeys(found))
        else:
            files[absolute] = None
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(_home(file), []).append(file)
    sources = []
    for folder, members in folders.items():
        for stem, group in group_bands(members, profiles):
            sources.append(Source(name=_name(folder, stem, group), hrefs=tuple(str(file) for file in _finest(group))))
    return sorted(sources, key=lambda source: source.hrefs)


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.endswith(SIDECAR) and path.is_file()


def _home(file: Path) -> Path:
    """Return the folder whose files make scenes together: a whole Sentinel product, else the file's own."""
    return next((parent for parent in file.parents if parent.suffix.upper() == _SAFE), file.parent)


def _finest(group: Iterable[Path]) -> list[Path]:
    """Return the files of a scene, sorted, each band once: products hold some at several resolutions."""
    best: dict[str, tuple[int, Path]] = {}
    for file in sorted(group):
        found = _RESOLUTION.search(file.stem)
        band, metres = (file.stem[: found.start()], int(found[1])) if found else (file.stem, 0)
        if band not in best or metres < best[band][0]:
            best[band] = metres, file
    return sorted(file for _, file in best.values())


def _name(folder: Path, stem: str, group: Sequence[Path]) -> str:
    if folder.suffix.upper() == _SAFE:
        return folder.stem
    if len(group) == 1:
        return group[0].name
    return folder.name if not stem or stem == folder.name else f"{folder.name}/{stem}"
