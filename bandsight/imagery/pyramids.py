"""Pre-rendered scenes for the map: one small GeoTIFF per scene in Web Mercator, in its default style, with overviews.

They are derived data: without them, and at closer zooms, the map is rendered from the scenes' files.
"""

import logging
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio import shutil as rasterio_shutil
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from bandsight.catalog.records import Scene, SceneRecord
from bandsight.errors import BandsightError
from bandsight.geo.box import LonLatBox
from bandsight.imagery.picture import Picture
from bandsight.imagery.rendering import render, render_spec
from bandsight.imagery.scene_raster import raster_of
from bandsight.objects.cached import CachedObjects
from bandsight.objects.store import ObjectMissingError
from bandsight.raster.warp import TargetGrid, read_warped

MAX_PX = 2048
"""Longest side of a pyramid, pixels."""
_VERSION = 1
"""Changes with the rendering; pyramids of other versions are ignored."""
_FOLDER = "pyramids"
_CRS = CRS.from_epsg(3857)
# Half the width of the map, m, and width of the map at zoom 0, pixels.
_HALF_M, _TILE_PX = 20_037_508.342789244, 256
_MAX_ZOOM = 24
_MAX_LAT = 85.0511287798066
# Rows rendered at a time, to limit memory.
_STRIP = 512
_QUALITY = 90
# Tolerance for rounding errors of transforms.
_NOISE = 1e-6
_LOG = logging.getLogger(__name__)


class Pyramids:
    """The pyramids of an archive, in a folder next to its vectors or on object storage."""

    def __init__(self, archive: Path, files: CachedObjects | None = None) -> None:
        """Initialize.

        Args:
            archive: The archive's folder.
            files: The archive's object storage, or None if its files are in the folder.
        """
        self._folder, self._files = archive / _FOLDER, files

    def path(self, key: str) -> Path:
        """Return the path of a scene's pyramid. Its suffix keeps the indexer from treating the GeoTIFF as a scene."""
        return self._folder / _name(key)

    def has(self, key: str) -> bool:
        """Return whether a scene has a pyramid.

        Raises:
            EngineUnavailableError: The storage does not respond.
        """
        if self._files is None:
            return self.path(key).exists()
        return self._files.cache.has(_name(key)) or self._files.objects.exists(f"{_FOLDER}/{_name(key)}")

    def save(self, key: str, data: bytes) -> None:
        """Save a scene's pyramid; write errors are only logged."""
        if self._files is None:
            self._save_here(key, data)
            return
        try:
            self._files.objects.put(f"{_FOLDER}/{_name(key)}", data)
        except BandsightError as error:
            _LOG.info("%s: pyramid not saved (%s)", key, error)

    def _save_here(self, key: str, data: bytes) -> None:
        part: Path | None = None
        try:
            self._folder.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
                part = Path(file.name)
                file.write(data)
                file.flush()
                # Without this, a power cut could leave an empty file.
                os.fsync(file.fileno())
            part.replace(self.path(key))
        except OSError as error:
            if part is not None:
                part.unlink(missing_ok=True)
            _LOG.info("%s: pyramid not saved (%s)", key, error)

    def remove_others(self, keys: Sequence[str]) -> int:
        """Delete the pyramids of all other scenes. Returns the number deleted."""
        if self._files is not None:
            names = {f"{_FOLDER}/{_name(key)}" for key in keys}
            # Recent ones may belong to scenes that another machine is about to commit.
            least = self._files.objects.place.keep_unnamed_s
            entries = self._files.objects.list(f"{_FOLDER}/")
            gone = [entry.key for entry in entries if entry.key not in names and entry.age_s >= least]
            self._files.objects.delete(gone)
            return len(gone)
        kept = {self.path(key) for key in keys}
        others = [path for path in self._folder.glob("*") if path not in kept] if self._folder.is_dir() else []
        for path in others:
            path.unlink(missing_ok=True)
        return len(others)

    def tile(self, scene: Scene, target: TargetGrid) -> Picture | None:
        """Return a scene on a web map tile, or None if it has no pyramid or not at this resolution.

        Args:
            scene: The scene.
            target: A grid in Web Mercator.

        Raises:
            EngineUnavailableError: The storage does not respond.
        """
        path = self._local(scene.key)
        if path is None:
            return None
        try:
            with (
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
                rasterio.open(path, driver="GTiff") as dataset,
            ):
                step = target.transform.a / dataset.transform.a
                if step < 1 - _NOISE and not _is_native(dataset, scene):
                    return None
                left, top = ~dataset.transform @ (target.transform.c, target.transform.f)
                return _window(dataset, left, top, step, (target.height, target.width))
        except (RasterioError, OSError) as error:
            _LOG.info("%s: cannot be read (%s)", path, error)
            return None

    def _local(self, key: str) -> Path | None:
        """Return a local file with a scene's pyramid, or None if there is none."""
        if self._files is None:
            path = self.path(key)
            return path if path.exists() else None
        objects, name = self._files.objects, f"{_FOLDER}/{_name(key)}"
        try:
            size = 0 if self._files.cache.has(_name(key)) else objects.size(name)
            return self._files.cache.use(_name(key), size, lambda path: objects.download(name, path), lambda path: path)
        except ObjectMissingError:
            return None


def _name(key: str) -> str:
    return f"{key}.{_VERSION}.pyramid"


def render_pyramid(scene: SceneRecord) -> bytes | None:
    """Render a scene's pyramid as GeoTIFF; None for scenes that cross ±180° or are near the poles.

    Raises:
        SceneError: A file of the scene is missing or cannot be read.
        QueryError: Too many pixels would have to be decoded.
    """
    if len(scene.boxes) != 1 or max(abs(scene.boxes[0].south), abs(scene.boxes[0].north)) > _MAX_LAT:
        return None
    shown = scene if isinstance(scene, Scene) else Scene(id=0, **{n: getattr(scene, n) for n in scene.__slots__})
    box, spec, raster = scene.boxes[0], render_spec(shown), raster_of(shown)
    step, (left, top, width, height) = _placed(box, scene.gsd_m)
    pixels = np.zeros((3, height, width), np.uint8)
    mask = np.zeros((height, width), bool)
    lat = math.radians((box.south + box.north) / 2)
    scene_step = step * math.cos(lat) / (scene.gsd_m or 10.0)
    margin = spec.margin(scene_step)
    for begin in range(0, height, _STRIP):
        rows = min(_STRIP, height - begin)
        placed = Affine(step, 0, left, 0, -step, top - begin * step)
        grid = TargetGrid(crs=_CRS, transform=placed, width=width, height=rows, box=_box_of(placed, width, rows))
        values, valid = read_warped(raster, raster.positions(spec.reads), scene.boxes, grid.grown(margin))
        rgb, seen = render(spec, values, valid, scene_step)
        inner = np.s_[margin : margin + rows, margin : margin + width]
        pixels[:, begin : begin + rows] = np.moveaxis(rgb[inner], -1, 0)
        mask[begin : begin + rows] = seen[inner]
    if not mask.any():
        return None
    # Fill invalid pixels with the mean, because JPEG bleeds across the edge of valid data.
    pixels[:, ~mask] = pixels[:, mask].mean(axis=1).astype(np.uint8)[:, None]
    return _encoded(pixels, mask, Affine(step, 0, left, 0, -step, top))


def _placed(box: LonLatBox, gsd_m: float | None) -> tuple[float, tuple[float, float, int, int]]:
    """Return the pixel size of a pyramid, map metres, and its left, top, columns and rows."""
    (west, north), (east, south) = _on_map(box.west, box.north), _on_map(box.east, box.south)
    lat = math.radians((box.south + box.north) / 2)
    native = math.ceil(math.log2(2 * _HALF_M * math.cos(lat) / _TILE_PX / (gsd_m or 10.0)) - 1e-6)
    side = max(east - west, north - south, 1e-3)
    fits = math.floor(math.log2(MAX_PX * 2 * _HALF_M / _TILE_PX / side))
    step = 2 * _HALF_M / _TILE_PX / 2 ** max(0, min(native, fits, _MAX_ZOOM))
    first_col, first_row = math.floor((west + _HALF_M) / step), math.floor((_HALF_M - north) / step)
    last_col, last_row = math.ceil((east + _HALF_M) / step), math.ceil((_HALF_M - south) / step)
    width, height = max(1, last_col - first_col), max(1, last_row - first_row)
    return step, (first_col * step - _HALF_M, _HALF_M - first_row * step, width, height)


def _on_map(lon: float, lat: float) -> tuple[float, float]:
    radius = _HALF_M / math.pi
    return math.radians(lon) * radius, math.asinh(math.tan(math.radians(lat))) * radius


def _box_of(placed: Affine, width: int, height: int) -> LonLatBox:
    radius = _HALF_M / math.pi
    (left, top), (right, bottom) = placed @ (0, 0), placed @ (width, height)
    return LonLatBox(
        west=max(-180.0, math.degrees(left / radius)),
        south=math.degrees(math.atan(math.sinh(bottom / radius))),
        east=min(180.0, math.degrees(right / radius)),
        north=math.degrees(math.atan(math.sinh(top / radius))),
    )


def _encoded(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], placed: Affine) -> bytes:
    _, height, width = pixels.shape
    options = {"width": width, "height": height, "count": 3, "dtype": "uint8", "crs": _CRS, "transform": placed}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as plain, MemoryFile() as made:
        with plain.open(driver="GTiff", photometric="RGB", **options) as out:
            out.write(pixels)
            out.write_mask(mask)
        with plain.open() as source:
            rasterio_shutil.copy(
                source,
                made.name,
                driver="COG",
                compress="JPEG",
                quality=_QUALITY,
                blocksize=256,
                overview_resampling="average",
            )
        return bytes(made.read())


def _is_native(dataset: rasterio.io.DatasetReader, scene: Scene) -> bool:
    """Return whether a pyramid is as fine as its scene."""
    lat = math.radians((scene.boxes[0].south + scene.boxes[0].north) / 2)
    return bool(dataset.transform.a * math.cos(lat) <= (scene.gsd_m or 10.0) * (1 + _NOISE))


def _window(
    dataset: rasterio.io.DatasetReader, left: float, top: float, step: float, shape: tuple[int, int]
) -> Picture:
    """Read a window of a pyramid at a shape; pixels outside the pyramid are transparent."""
    rows, cols = shape
    rgb, seen = np.zeros((rows, cols, 3), np.uint8), np.zeros(shape, bool)
    first_col, last_col = _inside(left, step, cols, dataset.width)
    first_row, last_row = _inside(top, step, rows, dataset.height)
    if first_col < last_col and first_row < last_row:
        wide, high = last_col - first_col, last_row - first_row
        window = Window(left + first_col * step, top + first_row * step, wide * step, high * step)
        window = window.intersection(Window(0, 0, dataset.width, dataset.height))
        how = Resampling.average if step > 1 + _NOISE else Resampling.nearest
        found = dataset.read(window=window, out_shape=(3, high, wide), resampling=how)
        mask = dataset.dataset_mask(window=window, out_shape=(high, wide), resampling=how)
        at = np.s_[first_row:last_row, first_col:last_col]
        rgb[at], seen[at] = np.moveaxis(found, 0, -1), mask > 127  # noqa: PLR2004  (half of the pixels)
    return Picture(rgb=rgb, seen=seen)


def _inside(start: float, step: float, count: int, size: int) -> tuple[int, int]:
    """Return the range (start, stop) of `count` pixels inside a pyramid `size` pixels wide."""
    first = math.floor(-start / step + 1e-9)
    last = math.ceil((size - start) / step - 1e-9)
    return max(0, first), min(count, last)
