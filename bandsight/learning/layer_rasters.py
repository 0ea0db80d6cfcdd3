"""Rasters of a layer: a COG for each tile grid, with a pixel for each tile or for each cell of a tile."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.catalog.records import Tile
from bandsight.errors import QueryError
from bandsight.learning.layers import PART, Layer
from bandsight.search.classifiers import scorer_of

# Cells of the shared grid: CRS, pixel size, tile size and scale, then column and row. A + or - after an index marks a
# window moved to the edge of its scene; it represents the cell that the scene covers partly.
_CELL = re.compile(
    r"(?P<grid>(?P<crs>EPSG:\d+)/(?P<pixel>[0-9.e+-]+)/(?P<px>\d+)x(?P<scale>\d+))/(?P<x>-?\d+)[+-]?_(?P<y>-?\d+)[+-]?"
)
MAX_RASTER_SIDE = 20_000
NO_TILE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The pixels of a raster."""

    name: str
    """Name of the file without its suffix."""
    crs: str
    """CRS, as `EPSG:32633`."""
    pixel_m: float
    """Size of a pixel, in units of the CRS."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """A square of pixels: a tile, or its cells."""

    x: int
    """Column of the left pixel from the origin of the CRS."""
    y: int
    """Row of the upper pixel from the origin, southwards."""
    values: NDArray[np.float32]
    """Probabilities, shape (side, side), NaN where there is none."""


def write_rasters(archive: Archive, layer: Layer, folder: Path, *, cells: bool = False) -> list[Path]:
    """Write a raster for each tile grid and return the paths: COGs with one pixel per tile, 8-bit percent.

    If a place has several dates, the highest probability is used. Tiles of scenes with their own grid and overlapping
    tiles are not on a shared grid; they are only in the tile and polygon files.

    Args:
        archive: The archive.
        layer: The layer.
        folder: Folder for the files.
        cells: Write one pixel per cell instead, for tiles that were indexed with cells. The classifier was calibrated
            on whole tiles, so these values rank cells, but are not probabilities.

    Raises:
        QueryError: A grid is too large for a raster, or no tile has cells.
    """
    blocks: dict[_Grid, list[_Block]] = defaultdict(list)
    for grid, block in _cell_blocks(archive, layer) if cells else _tile_blocks(archive, layer):
        blocks[grid].append(block)
    if cells and not blocks:
        raise QueryError("cells: no tile on a shared grid has cells; index its scene with --cells 4")
    return [
        _write(folder / f"{grid.name}.tif", layer, blocks[grid], grid)
        for grid in sorted(blocks, key=lambda grid: grid.name)
    ]


def _tile_blocks(archive: Archive, layer: Layer) -> Iterator[tuple[_Grid, _Block]]:
    for start in range(0, len(layer.ids), PART):
        ids = layer.ids[start : start + PART].tolist()
        tiles = archive.tiles_by_id(ids)
        for one, value in zip(ids, layer.probabilities[start : start + PART], strict=True):
            found = _CELL.fullmatch(tiles[one].cell) if one in tiles else None
            if found is not None:
                values = np.full((1, 1), value, np.float32)
                yield _grid(found, 1), _Block(x=int(found["x"]), y=int(found["y"]), values=values)


def _cell_blocks(archive: Archive, layer: Layer) -> Iterator[tuple[_Grid, _Block]]:
    scorer = scorer_of(layer.head)
    for start in range(0, len(layer.ids), PART):
        ids = layer.ids[start : start + PART].tolist()
        tiles = archive.tiles_by_id(ids)
        for at, codes in archive.read(lambda view, ids=ids: view.cells(ids)):  # type: ignore[misc]
            cosines = codes.cosines(scorer.directions)
            scores = scorer.combine(cosines.reshape(len(cosines), -1)).reshape(len(codes), -1)
            scores = np.where(codes.known, scores, np.nan).astype(np.float32)
            for row, values in zip(at.tolist(), scores, strict=True):
                tile = tiles.get(ids[row])
                found = None if tile is None else _CELL.fullmatch(tile.cell)
                if tile is not None and found is not None:
                    yield _grid(found, codes.side), _placed(tile, found, values.reshape(codes.side, codes.side))


def _grid(found: re.Match[str], side: int) -> _Grid:
    name = found["grid"].replace("/", "_").replace(":", "")
    pixel_m = float(found["pixel"]) * int(found["px"]) * int(found["scale"]) / side
    return _Grid(name=name if side == 1 else f"{name}_cells{side}", crs=found["crs"], pixel_m=pixel_m)


def _placed(tile: Tile, found: re.Match[str], values: NDArray[np.float32]) -> _Block:
    """Return the cells of a tile as pixels; those of a window at the edge of its scene lie where its ground is."""
    side = len(values)
    x, y = int(found["x"]) * side, int(found["y"]) * side
    if "+" in tile.cell or found[0].endswith("-") or "-_" in found[0]:
        from rasterio.warp import transform

        grid = _grid(found, side)
        lon, lat = shapely.get_coordinates(shapely.geometry.shape(dict(tile.geometry))).T
        east, north = (np.array(one) for one in transform("EPSG:4326", grid.crs, lon, lat))
        x, y = round(float(east.min()) / grid.pixel_m), round(-float(north.max()) / grid.pixel_m)
    return _Block(x=x, y=y, values=values)


def _write(path: Path, layer: Layer, blocks: list[_Block], grid: _Grid) -> Path:
    import rasterio
    from rasterio.transform import from_origin

    side = len(blocks[0].values)
    left, top = min(block.x for block in blocks), min(block.y for block in blocks)
    width = max(block.x for block in blocks) + side - left
    height = max(block.y for block in blocks) + side - top
    if max(width, height) > MAX_RASTER_SIDE:
        raise QueryError(
            f"{path.name}: the tiles of this grid span {width} × {height} pixels, more than {MAX_RASTER_SIDE}; "
            "pass --bbox"
        )
    values = np.full((height, width), np.nan, np.float32)
    for block in blocks:
        part = values[block.y - top : block.y - top + side, block.x - left : block.x - left + side]
        np.fmax(part, block.values, out=part)
    percent = np.full(values.shape, NO_TILE, np.uint8)
    there = np.isfinite(values)
    percent[there] = np.rint(100 * np.clip(values[there], 0, 1)).astype(np.uint8)
    known = percent[there]
    options = {"driver": "COG", "dtype": "uint8", "count": 1, "nodata": NO_TILE, "compress": "DEFLATE"}
    transform = from_origin(left * grid.pixel_m, -top * grid.pixel_m, grid.pixel_m, grid.pixel_m)
    with rasterio.open(path, "w", width=width, height=height, crs=grid.crs, transform=transform, **options) as made:
        made.write(percent, 1)
        made.write_colormap(1, color_table())
        made.set_band_description(1, f"probability of {layer.head.cls}, percent")
        made.update_tags(classifier=layer.classifier.name, version=str(layer.classifier.version))
        made.update_tags(
            1,
            STATISTICS_MINIMUM=str(known.min()),
            STATISTICS_MAXIMUM=str(known.max()),
            STATISTICS_MEAN=f"{known.mean():.4f}",
            STATISTICS_STDDEV=f"{known.std():.4f}",
        )
    return path


def color_table() -> dict[int, tuple[int, int, int, int]]:
    """Return the colour of each percentage: transparent at 0, then from blue through yellow to red."""
    stops = np.array([[49, 54, 149], [116, 173, 209], [255, 255, 191], [253, 174, 97], [165, 0, 38]], np.float64)
    at = np.linspace(0, 4, 101)
    table = {
        percent: (
            *(int(np.interp(at[percent], range(5), stops[:, channel])) for channel in range(3)),
            int(min(255, 2.55 * percent * 1.25)),
        )
        for percent in range(101)
    }
    return {**table, **dict.fromkeys(range(101, 256), (0, 0, 0, 0))}  # type: ignore[dict-item]
