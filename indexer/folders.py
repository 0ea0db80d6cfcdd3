"""Groups files in folders and zips into scenes: one per raster, except for band files that belong together."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bandsight.errors import SceneError
from bandsight.raster.drivers import in_zip, local_file, place_in_zip
from bandsight.sensors.groups import group_bands
from bandsight.sensors.profile import Profile
from indexer.product_metadata import is_product_folder
from indexer.sidecar_files import read_text, zip_names
from indexer.source import Source
from indexer.unreadable import unreadable

# Suffixes searched for in folders; files passed explicitly may have any name.
SUFFIXES = frozenset(
    {".tif", ".tiff", ".jp2", ".nc", ".h5", ".hdf5", ".he5", ".hdf"}
    | {".img", ".dat", ".bsq", ".bil", ".bip", ".png", ".jpg", ".jpeg"}
)
# Archives that are searched.
PACKED = frozenset({".zip", ".tar"})
_SAFE, _SEN3 = ".SAFE", ".SEN3"
# Images of Sentinel-3 OLCI and SLSTR, seen from above (ESA, product data format); other files have angles, flags, …
_SEN3_IMAGES = re.compile(r"(?:Oa\d\d_(?:radiance|reflectance)|S[1-6]_radiance_an|S[789]_BT_in)\.nc", re.IGNORECASE)
# Folders of measurements in a Sentinel product; others contain previews, reports and masks.
_SAFE_IMAGES = {"IMG_DATA", "measurement"}
# Sentinel-2 L2A file names contain the resolution, m.
_RESOLUTION = re.compile(r"_(\d\d)m$")
# Folder per resolution in Sentinel-2 L2A, also if the product is incomplete.
_RESOLUTION_FOLDER = re.compile(r"R(\d\d)m")
_GRANULE = "GRANULE"
# Names of static catalogues (STAC, best practices).
_CATALOGUES = ("catalog.json", "collection.json")
# Layout of Sentinel-2 on AWS: tiles/33/U/UU/2022/2/16/0.
_TILE = re.compile(r"/tiles/(\d{1,2}/[A-Z]/[A-Z]{2})/(\d{4}/\d{1,2}/\d{1,2})/(\d+)$")


def folder_files(folder: Path, unread: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield the rasters, zips and tars in a folder and its subfolders, sorted, one folder at a time.

    Args:
        folder: The folder to search.
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


def catalogues(folder: Path) -> Iterator[Path]:
    """Yield the topmost STAC catalogues and collections in a folder and its subfolders; none for a file."""
    for inside, below, names in os.walk(folder):
        found = next(
            (Path(inside, name) for name in _CATALOGUES if name in names and _is_stac(Path(inside, name))), None
        )
        if found is not None:
            # Those below belong to it.
            below.clear()
            yield found
        below.sort()


def _is_stac(file: Path) -> bool:
    """Return whether a JSON file is STAC, of any version."""
    try:
        said = json.loads(read_text(file))
    except (SceneError, ValueError):
        return False
    return isinstance(said, dict) and "stac_version" in said and "links" in said


def swaths_without_images(folder: Path) -> Iterator[Path]:
    """Yield the Sentinel-3 products in a folder, or the folder itself, that have no images Bandsight can read."""
    for inside, _, names in os.walk(folder):
        product = Path(inside)
        if product.suffix.upper() == _SEN3 and not any(_is_measurement(product / name) for name in names):
            yield product


def zip_files(archive: Path) -> Iterator[Path]:
    """Yield the rasters in a zip or tar, as GDAL paths. Nested archives are ignored.

    Raises:
        SceneError: It is not a zip or tar.
    """
    for name in sorted(zip_names(str(archive))):
        path = Path(place_in_zip(archive, name))
        if path.suffix.lower() in SUFFIXES and _is_measurement(path):
            yield path


def scenes_of(files: Iterable[Path], profiles: Sequence[Profile], left_out: list[Path] | None = None) -> list[Source]:
    """Group files into scenes, in order of their paths.

    Args:
        files: Rasters.
        profiles: Profiles that define band names.
        left_out: List to which ancillary files are appended.
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
    """Return the folders that contain scenes and their auxiliary files, without nested ones."""
    found: set[Path] = set()
    for source in sources:
        for href in source.hrefs:
            file = local_file(href)
            if file is not None:
                # Circular links and invalid names are reported when the file is opened.
                with suppress(OSError, RuntimeError, ValueError):
                    found.update((_home(file), _home(file.resolve())))
    return sorted(str(folder) for folder in found if found.isdisjoint(folder.parents))


def _is_data_alone(path: Path) -> bool:
    """Return whether a .dat file lacks an ENVI header; many programs write such files."""
    return path.suffix.lower() == ".dat" and not any(
        header.is_file() for header in (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr"))
    )


def _has_header(path: Path) -> bool:
    """Return whether a file without a suffix is the data file of an ENVI header."""
    return not path.suffix and path.with_name(f"{path.name}.hdr").is_file()


def _is_measurement(path: Path) -> bool:
    parts = path.parts
    if path.parent.suffix.upper() == _SEN3 and path.suffix.lower() == ".nc":
        return bool(_SEN3_IMAGES.fullmatch(path.name))
    inside = next((at for at, part in enumerate(parts) if is_product_folder(part) and _is_whole(parts[at:])), None)
    return inside is None or bool(_SAFE_IMAGES.intersection(parts[inside:]))


def _is_whole(parts: Sequence[str]) -> bool:
    """Return whether a path, relative to a product's folder, follows ESA's product structure."""
    return parts[0].upper().endswith(_SAFE) or _GRANULE in parts


def _home(file: Path) -> Path:
    """Return the folder whose files are grouped: the Sentinel product, else the file's folder."""
    product = next((parent for parent in file.parents if is_product_folder(parent.name)), None)
    if product is not None and _is_whole(file.relative_to(product.parent).parts):
        return product
    return file.parent.parent if _RESOLUTION_FOLDER.fullmatch(file.parent.name) else file.parent


def _finest(group: Iterable[Path]) -> list[Path]:
    """Return the files of a scene, sorted, with each band at its finest resolution only."""
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
    if home.suffix.upper() == _SEN3:
        return home.name
    if len(group) == 1:
        return group[0].name
    if tile := _TILE.search(home.as_posix()):
        return f"{tile[1].replace('/', '')}_{tile[2].replace('/', '-')}_{tile[3]}"
    zipped = in_zip(str(home))
    folder = Path(zipped[0]).stem if zipped and not zipped[1] else home.name
    return folder if not stem or stem == folder else f"{folder}/{stem}"
