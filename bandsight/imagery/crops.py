"""Exports a tile as GeoTIFF with all bands and their wavelengths, so that it can be used as a query image."""

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio import Env
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from bandsight.catalog.records import Scene, Tile
from bandsight.errors import QueryError, SceneError
from bandsight.imagery.scene_raster import band_decisions, raster_of
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_bands, read_window
from bandsight.sensors.stretch_tags import stretch_tags

_RGB = ["red", "green", "blue"]


def crop(scene: Scene, tile: Tile, *, scale: int | None = None, max_bytes: int) -> bytes:
    """Return the area of a tile as a GeoTIFF with all bands of its scene.

    Args:
        scene: The tile's scene.
        tile: The tile.
        scale: Scene pixels per output pixel, along each side; None for the tile's own scale.
        max_bytes: Maximum uncompressed size.

    Raises:
        SceneError: A file is missing or cannot be read.
        QueryError: The raster would be too large.
    """
    step = scale or tile.scale
    rows, cols = max(1, tile.height // step), max(1, tile.width // step)
    # Check before reading. No data type takes more than eight bytes.
    if (size := rows * cols * len(scene.bands) * 8) > max_bytes:
        raise QueryError(
            f"scale: found {step}, which makes {cols}×{rows} pixels of {len(scene.bands)} bands, up to {size:,} bytes; "
            f"at most {max_bytes:,} are allowed, so choose a larger scale"
        )
    extent = (tile.col_off, tile.row_off, tile.col_off + cols * step, tile.row_off + rows * step)
    raster = raster_of(scene)
    with OpenFiles() as files:
        window = read_bands(raster, range(len(scene.bands)), extent, (rows, cols), files=files)
        # As for the model: valid in some band of each file, and by the quality band.
        valid = read_window(raster, extent, (rows, cols), files).valid
    placed = Affine(*scene.transform) @ Affine.translation(tile.col_off, tile.row_off) @ Affine.scale(step)
    title = f"tile {tile.id} of {scene.name} ({scene.sensor})"
    stack = np.stack(window.values).astype(np.result_type(*window.values), copy=False)
    return _geotiff(scene, stack, valid, placed, title)


def _geotiff(
    scene: Scene, stack: NDArray[np.generic], valid: NDArray[np.bool_], transform: Affine, title: str
) -> bytes:
    """Return bands of a scene, shape (bands, height, width), and the mask of valid pixels as a GeoTIFF."""
    colours = [band.common_name if band else None for band in band_decisions(scene)[: len(_RGB)]]
    try:
        # Write the mask into the file, not next to it.
        with Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
            with memory.open(
                driver="GTiff",
                width=stack.shape[2],
                height=stack.shape[1],
                count=len(stack),
                dtype=stack.dtype.name,
                crs=CRS.from_string(scene.crs),
                transform=transform,
                compress="deflate",
                predictor=3 if stack.dtype.kind == "f" else 2,
                # By default, GDAL treats the last of four 8-bit bands as alpha.
                photometric="RGB" if colours == _RGB else "MINISBLACK",
                tiled=True,
                blockxsize=256,
                blockysize=256,
                interleave="band",
            ) as out:
                out.write(stack)
                out.write_mask(valid)
                out.update_tags(
                    TIFFTAG_DATETIME="" if scene.datetime is None else scene.datetime.strftime("%Y:%m:%d %H:%M:%S"),
                    TIFFTAG_IMAGEDESCRIPTION=title,
                )
                for number, band in enumerate(scene.bands, 1):
                    out.set_band_description(number, band.name)
                    # GDAL's tag name, which the indexer and image queries read.
                    out.update_tags(number, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=repr(band.wavelength_um))
                    out.update_tags(number, **stretch_tags(scene.stretch, number - 1))
            return bytes(memory.read())
    except RasterioError as error:
        raise SceneError(f"{scene.name}: cannot be written as GeoTIFF ({error})") from error
