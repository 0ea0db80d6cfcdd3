"""Scenes of smooth ground, whose colour at a place can be computed, and the places of a map tile's pixels."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from bandsight.catalog.records import Scene, Tile
from bandsight.geo.box import LonLatBox
from bandsight.geo.footprint import footprint
from bandsight.raster.bands import BandRef
from tests import rasters

AS_IS = {"kind": "as_is", "to_db": None}
COLOURS_UM = (0.665, 0.56, 0.48)
PERIOD_PX = 60


def ground(cols: NDArray[np.floating], rows: NDArray[np.floating], band: int) -> NDArray[np.float64]:
    """Return what lies at a place of the scene's grid, 30..220."""
    return 125 + 45 * np.sin(2 * math.pi * cols / PERIOD_PX + band) + 50 * np.cos(2 * math.pi * rows / PERIOD_PX - band)


def ground_picture(width: int, height: int, bands: int = 3, step: int = 1) -> NDArray[np.uint8]:
    """Return the ground as a file holds it, in pixels of so many of the grid."""
    cols, rows = np.meshgrid((np.arange(width // step) + 0.5) * step, (np.arange(height // step) + 0.5) * step)
    return np.stack([np.rint(ground(cols, rows, band)).astype(np.uint8) for band in range(bands)])


def scene_at(
    path: Path, crs: str, grid: Affine, width: int, height: int, *, number: int = 1, day: int = 1, **stretch: object
) -> Scene:
    """Return a scene of the first three bands of a file."""
    where = footprint(tuple(grid)[:6], crs, 0, 0, width, height)
    waves = stretch.pop("waves", COLOURS_UM)
    said = {**AS_IS, "low": [0.0] * len(waves), "high": [255.0] * len(waves), **stretch}
    return Scene(
        id=number,
        key=f"key-{number}",
        href=str(path),
        name=path.name,
        collection="made",
        sensor="made_up",
        datetime=datetime(2020, 5, day, tzinfo=UTC),
        crs=crs,
        transform=tuple(grid)[:6],
        width=width,
        height=height,
        gsd_m=None,
        bands=tuple(
            BandRef(name=f"b{n}", wavelength_um=wave, href=str(path), index=n + 1) for n, wave in enumerate(waves)
        ),
        stretch=said,
        geometry=where.geometry,
        boxes=tuple(where.boxes),
    )


def write_ground(path: Path, crs: str, grid: Affine, width: int, height: int, **options: object) -> Scene:
    rasters.write(path, ground_picture(width, height), crs=crs, transform=grid, **options)
    return scene_at(path, crs, grid, width, height)


def places(z: int, x: int, y: int, size: int = 256) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the centres of a map tile's pixels, by the formula of Web Mercator."""
    cols, rows = np.meshgrid((np.arange(size) + 0.5) / size + x, (np.arange(size) + 0.5) / size + y)
    lat = np.degrees(np.arctan(np.sinh(math.pi * (1 - 2 * rows / 2**z))))
    return cols / 2**z * 360 - 180, lat


def tile_at(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    """Return the map tile that covers a place."""
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return z, int((lon + 180) / 360 * 2**z), int(y * 2**z)


def on_grid(
    scene: Scene, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return columns and rows of places on a scene's grid, and whether they lie in the scene."""
    to_crs = Transformer.from_crs(4326, scene.crs, always_xy=True)
    best = None
    for turn in (0, -360, 360):
        x, y = (lon + turn, lat) if to_crs.target_crs.is_geographic else to_crs.transform(lon, lat)
        cols, rows = ~Affine(*scene.transform) @ (x, y)
        inside = (cols >= 0) & (cols <= scene.width) & (rows >= 0) & (rows <= scene.height)
        if best is None or inside.sum() > best[2].sum():
            best = cols, rows, inside
    assert best is not None
    return best


def tile_of(col: int, row: int, side: int = 32) -> Tile:
    """Return the tile of a window of a scene."""
    return Tile(
        id=1,
        scene_id=1,
        cell="x",
        scale=1,
        col_off=col,
        row_off=row,
        width=side,
        height=side,
        valid_fraction=1.0,
        geometry={},
        boxes=(LonLatBox(west=15, south=45, east=15.1, north=45.1),),
    )
