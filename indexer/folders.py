"""Which files of folders and zips make which scene: each raster is one, unless band files that belong together are."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bandsight.raster.drivers import in_zip, local_file, place_in_zip
from bandsight.sensors.groups import group_bands
from bandsight.sensors.profile import Profile
from indexer.product_metadata import is_product_folder
from indexer.sidecar_files import zip_names
from indexer.source import Source
from indexer.unreadable import unreadable

# What a folder is searched for; a file named by the user is tried under any name.
SUFFIXES = frozenset(
    {".tif", ".tiff", ".jp2", ".nc", ".h5", ".hdf5", ".he5"}
    | {".img", ".dat", ".bsq", ".bil", ".bip", ".png", ".jpg", ".jpeg"}
)
# Archives that are looked into.
PACKED = frozenset({".zip", ".tar"})
_SAFE = ".SAFE"
# What a Sentinel product holds beside its measurements: previews, reports, masks.
_SAFE_IMAGES = {"IMG_DATA", "measurement"}
# Sentinel-2's level 2A names the resolution of each file, in m.
_RESOLUTION = re.compile(r"_(\d\d)m$")
# The folder of each resolution in Sentinel-2's level 2A, also where the product is kept without its other parts.
_RESOLUTION_FOLDER = re.compile(r"R(\d\d)m")
_GRANULE = "GRANULE"
# Sentinel-2 as it lies on AWS: tiles/33/U/UU/2022/2/16/0.
_TILE = re.compile(r"/tiles/(\d{1,2}/[A-Z]/[A-Z]{2})/(\d{4}/\d{1,2}/\d{1,2})/(\d+)$")


def folder_files(folder: Path, unread: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield the rasters, zips and tars in a folder and all folders in it, sorted; folders are read one after another.

    Args:
        folder: The outermost.
        unread: Called with each folder that cannot be read.
    """
    found = (Path(inside, name) for inside, _, names in os.walk(folder, onerror=unread) for name in names)
    for path in sorted(found):
        suffix = path.suffix.lower()
        wanted = (
            (suffix in SUFFIXES and not _is_data_alone(path))
            or suffix in PACKED
            or unreadable(path)
            or _has_header(path)
        )
        if wanted and _is_measurement(path) and path.is_file():
            yield path


def zip_files(archive: Path) -> Iterator[Path]:
    """Yield the rasters in a zip or tar, as places that GDAL can open; archives in it are not looked into.

    Raises:
        SceneError: It is no zip or tar.
    """
    for name in sorted(zip_names(str(archive))):
        path = Path(place_in_zip(archive, name))
        if path.suffix.lower() in SUFFIXES and _is_measurement(path):
            yield path


def scenes_of(files: Iterable[Path], profiles: Sequence[Profile], left_out: list[Path] | None = None) -> list[Source]:
    """Return the scenes that files make, in the order of their paths.

    Args:
        files: Rasters.
        profiles: They know the names of bands.
        left_out: Gets the files that belong to a product and are no picture.
    """
    homes: dict[Path, list[Path]] = {}
    for file in files:
        homes.setdefault(_home(file), []).append(file)
    sources = []
    for home, members in homes.items():
        for stem, group in group_bands(members, profiles, left_out):
            sources.append(Source(name=_name(home, stem, group), hrefs=tuple(str(file) for file in _finest(group))))
    return sorted(sources, key=lambda source: source.hrefs)


def roots_of(sources: Iterable[Source]) -> list[str]:
    """Return the folders that hold the files of scenes and what belongs to them; none is inside another."""
    found: set[Path] = set()
    for source in sources:
        for href in source.hrefs:
            file = local_file(href)
            if file is not None:
                # A link to itself, or a name that there cannot be, leads nowhere; opening it will tell.
                with suppress(OSError, RuntimeError, ValueError):
                    found.update((_home(file), _home(file.resolve())))
    return sorted(str(folder) for folder in found if found.isdisjoint(folder.parents))


def _is_data_alone(path: Path) -> bool:
    """Say whether a file with the ending .dat has no ENVI header beside it: many programs write such files."""
    return path.suffix.lower() == ".dat" and not any(
        header.is_file() for header in (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr"))
    )


def _has_header(path: Path) -> bool:
    """Say whether a file without a suffix is the data of an ENVI header beside it."""
    return not path.suffix and path.with_name(f"{path.name}.hdr").is_file()


def _is_measurement(path: Path) -> bool:
    parts = path.parts
    inside = next((at for at, part in enumerate(parts) if is_product_folder(part) and _is_whole(parts[at:])), None)
    return inside is None or bool(_SAFE_IMAGES.intersection(parts[inside:]))


def _is_whole(parts: Sequence[str]) -> bool:
    """Say whether a place, from a product's folder on, is one in the product as ESA packs it."""
    return parts[0].upper().endswith(_SAFE) or _GRANULE in parts


def _home(file: Path) -> Path:
    """Return the folder whose files make scenes together: a whole Sentinel product, else the file's own."""
    product = next((parent for parent in file.parents if is_product_folder(parent.name)), None)
    if product is not None and _is_whole(file.relative_to(product.parent).parts):
        return product
    return file.parent.parent if _RESOLUTION_FOLDER.fullmatch(file.parent.name) else file.parent


def _finest(group: Iterable[Path]) -> list[Path]:
    """Return the files of a scene, sorted, each band once: products hold some at several resolutions."""
    best: dict[str, tuple[int, Path]] = {}
    for file in sorted(group):
        found = _RESOLUTION.search(file.stem)
        band, metres = (file.stem[: found.start()], int(found[1])) if found else (file.stem, 0)
        if folder := _RESOLUTION_FOLDER.fullmatch(file.parent.name):
            metres = int(folder[1])
        if band not in best or metres < best[band][0]:
            best[band] = metres, file
    return sorted(file for _, file in best.values())


def _name(home: Path, stem: str, group: Sequence[Path]) -> str:
    if is_product_folder(home.name) and _is_whole(group[0].relative_to(home.parent).parts):
        return home.stem
    if len(group) == 1:
        return group[0].name
    if tile := _TILE.search(home.as_posix()):
        return f"{tile[1].replace('/', '')}_{tile[2].replace('/', '-')}_{tile[3]}"
    zipped = in_zip(str(home))
    folder = Path(zipped[0]).stem if zipped and not zipped[1] else home.name
    return folder if not stem or stem == folder else f"{folder}/{stem}"
