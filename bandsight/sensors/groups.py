"""Which files of a folder are bands of one scene, told by their names alone."""

import re
from collections.abc import Iterable
from pathlib import Path

from bandsight.sensors.profile import load_profiles

# Quality bands: part of a product, but no picture.
_QUALITY = re.compile(
    r"[_\s,.-](BQA|QA_\w+|QA60|SCL|ST_\w+|MSK_\w+|SR_QA\w*|TCI|[CF]MASK|CLDPRB|SNWPRB)(_\d+m)?$",
    re.IGNORECASE,
)


def group_bands(files: Iterable[Path]) -> list[tuple[str, list[Path]]]:
    """Return (common part of the names, files) of each scene among the files of one folder.

    Band files that differ in nothing but the band belong together, and their quality bands are left out. Any
    other file is a scene of its own.
    """
    groups: dict[str, list[Path]] = {}
    alone: list[Path] = []
    quality: list[Path] = []
    for file in files:
        stem = _without_band(file.stem)
        if _QUALITY.search(file.stem):
            quality.append(file)
        elif stem is None:
            alone.append(file)
        else:
            groups.setdefault(f"{stem}|{file.suffix.lower()}", []).append(file)
    out = [(key.rsplit("|", 1)[0].strip(" _-,."), group) for key, group in groups.items()]
    # A quality band whose product is not here was named on purpose.
    out += [(file.stem, [file]) for file in quality if not groups]
    return out + [(file.stem, [file]) for file in alone]


def _without_band(stem: str) -> str | None:
    """Return a file's name without its band, None when no profile finds one in it."""
    for profile in load_profiles():
        for band in profile.bands:
            match = band.file.search(stem) if band.file else None
            if match:
                return stem[: match.start()] + stem[match.end() :]
    return None
