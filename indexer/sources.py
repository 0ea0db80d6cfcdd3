"""Which files make which scene: each raster is one, unless band files that belong together are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bandsight.sensors.groups import group_bands
from bandsight.sensors.profile import Profile
from indexer.sidecar import SUFFIX as SIDECAR

# What a folder is searched for; a file named by the user is tried whatever it is called.
SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".nc", ".img", ".dat", ".bsq", ".bil", ".bip", ".png", ".jpg", ".jpeg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one scene."""

    name: str
    """Short name for people."""
    paths: tuple[Path, ...]
    """Absolute, sorted."""


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
        folders.setdefault(file.parent, []).append(file)
    sources = []
    for folder, members in folders.items():
        for stem, group in group_bands(members, profiles):
            name = group[0].name if len(group) == 1 else _name(folder.name, stem)
            sources.append(Source(name=name, paths=tuple(sorted(group))))
    return sorted(sources, key=lambda source: source.paths)


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.endswith(SIDECAR) and path.is_file()


def _name(folder: str, stem: str) -> str:
    return folder if not stem or stem == folder else f"{folder}/{stem}"
