"""Encodes painted values as PNG with a perceptually uniform colour map, as GeoTIFF, and as legends."""

import colorsys
import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rio_tiler.colormap import cmap

from bandsight.maps.rasterize import Canvas, strips

ColorMap = Literal["magma", "inferno", "plasma", "viridis", "cividis"]
"""Perceptually uniform colour maps (matplotlib's, from rio-tiler)."""
NODATA = -9999.0
_STEPS = 256
_LEGEND = (320, 56)
_BAR = (10, 8, 310, 26)
_ROW_PX = 22
# Maximum opacity of an overlay.
_OPAQUE = 210
# The golden angle as a fraction of the circle.
_GOLDEN = 0.381966


def png(values: NDArray[np.float32], extent: tuple[float, float], colors: ColorMap, *, fade: bool = False) -> bytes:
    """Return values (h, w) as a PNG; NaN is transparent.

    Args:
        values: Values to show.
        extent: Values of the first and last colour.
        colors: The colour map.
        fade: Whether lower values are more transparent.
    """
    low, high = extent
    levels = np.zeros(values.shape, np.uint8)
    for rows in strips(values.shape):
        seen = np.isfinite(values[rows])
        share = np.where(seen, (values[rows] - low) / (high - low), 0)
        level = np.clip(share * (_STEPS - 1), 0, _STEPS - 1).round().astype(np.uint8)
        levels[rows] = np.where(seen, np.maximum(level, 1), 0)
    return _indexed(levels, _faded(colors) if fade else _table(colors))


def overlay(cells: NDArray[np.float32], extent: tuple[float, float], colors: ColorMap, size: int) -> bytes:
    """Return cell values (h, w) as a smoothed square PNG; lower values are more transparent.

    Args:
        cells: Values of the cells.
        extent: Values of the first and last colour.
        colors: The colour map.
        size: Width and height, pixels.
    """
    low, high = extent
    share = np.clip((cells - low) / (high - low), 0, 1).astype(np.float32)
    smooth = np.asarray(Image.fromarray(share).resize((size, size), Image.Resampling.BICUBIC)).clip(0, 1)
    level = np.maximum((smooth * (_STEPS - 1)).round().astype(np.uint8), 1)
    shown = _table(colors)[level]
    shown[..., 3] = (smooth * _OPAQUE).round().astype(np.uint8)
    return _encoded(Image.fromarray(shown))


def classes_png(classes: NDArray[np.uint8], legend_of: Sequence[str] = ()) -> bytes:
    """Return classes (h, w), numbered from 1, as PNG; 0 is transparent.

    Args:
        classes: Class of each pixel.
        legend_of: Class names for a legend to the right of the map; empty for no legend.
    """
    if not legend_of:
        return _indexed(classes, _class_table())
    shown, names = Image.fromarray(_class_table()[classes]), _class_legend(legend_of)
    whole = Image.new("RGBA", (shown.width + names.width, max(shown.height, names.height)))
    whole.paste(shown, (0, 0))
    whole.paste(names, (shown.width, 0))
    return _encoded(whole)


def geotiff(values: NDArray[np.float32], canvas: Canvas, description: str, tags: dict[str, str]) -> bytes:
    """Return values as GeoTIFF, float32, with `NODATA` for NaN."""
    data = np.empty(values.shape, np.float32)
    for rows in strips(values.shape):
        data[rows] = np.where(np.isfinite(values[rows]), values[rows], np.float32(NODATA))
    return _geotiff(data, canvas, NODATA, description, tags, None)


def classes_geotiff(classes: NDArray[np.uint8], canvas: Canvas, labels: Sequence[str]) -> bytes:
    """Return classes as GeoTIFF, uint8, 0 for none, with a colour table and names in tags CLASS_1, …."""
    tags = {f"CLASS_{number}": label for number, label in enumerate(labels, 1)}
    return _geotiff(classes, canvas, 0, "class", tags, class_colors(len(labels)))


def legend(extent: tuple[float, float], colors: ColorMap, marks: Sequence[tuple[float, str]]) -> bytes:
    """Return a legend as PNG: the colour map with its range and marks at some values."""
    low, high = extent
    left, top, right, bottom = _BAR
    picture = Image.new("RGBA", _LEGEND, (255, 255, 255, 230))
    draw = ImageDraw.Draw(picture)
    table = _table(colors)
    for x in range(left, right):
        level = max(1, round((x - left) / (right - left - 1) * (_STEPS - 1)))
        draw.line((x, top, x, bottom), fill=tuple(int(part) for part in table[level]))
    font = ImageFont.load_default(11)
    draw.text((left, bottom + 12), f"{low:.3f}", fill="black", font=font)
    draw.text((right, bottom + 12), f"{high:.3f}", fill="black", font=font, anchor="ra")
    for value, label in marks:
        at = left + (value - low) / (high - low) * (right - left)
        if left <= at <= right:
            draw.line((at, top - 3, at, bottom + 3), fill="black", width=2)
            draw.text((at, bottom + 3), label, fill="black", font=font, anchor="ma")
    return _encoded(picture)


def _class_legend(labels: Sequence[str]) -> Image.Image:
    font = ImageFont.load_default(12)
    width = 40 + max(int(font.getlength(label)) for label in labels)
    picture = Image.new("RGBA", (width, _ROW_PX * len(labels) + 8), (255, 255, 255, 230))
    draw = ImageDraw.Draw(picture)
    for row, (color, label) in enumerate(zip(class_colors(len(labels)).values(), labels, strict=True)):
        top = 4 + row * _ROW_PX
        draw.rectangle((6, top + 2, 26, top + 18), fill=color)
        draw.text((32, top + 3), label, fill="black", font=font)
    return picture


def class_colors(count: int) -> dict[int, tuple[int, int, int, int]]:
    """Return the colour of each class, numbered from 1."""
    table = _class_table()
    return {number: tuple(int(part) for part in table[number]) for number in range(1, count + 1)}  # type: ignore[misc]


@lru_cache
def _faded(colors: ColorMap) -> NDArray[np.uint8]:
    """Return the colours of levels with increasing opacity, shape (256, 4)."""
    table = _table(colors).copy()
    table[:, 3] = np.arange(_STEPS)
    return table


@lru_cache
def _table(colors: ColorMap) -> NDArray[np.uint8]:
    """Return the colours of levels, shape (256, 4); level 0 is transparent."""
    found = cmap.get(colors)
    table = np.array([found[level] for level in range(_STEPS)], np.uint8)
    table[0, 3] = 0
    return table


@lru_cache
def _class_table() -> NDArray[np.uint8]:
    """Return class colours, shape (256, 4), with hues a golden angle apart so that neighbours differ."""
    made = [
        colorsys.hsv_to_rgb(number * _GOLDEN % 1, (0.9, 0.65, 0.45)[number % 3], (0.92, 0.7)[number % 2])
        for number in range(_STEPS)
    ]
    table = np.full((_STEPS, 4), 255, np.uint8)
    table[:, :3] = np.round(np.array(made) * 255)
    table[0] = 0
    return table


def _indexed(levels: NDArray[np.integer], table: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(levels.astype(np.uint8, copy=False))
    picture.putpalette(table[:, :3].tobytes(), "RGB")
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=table[:, 3].tobytes(), compress_level=1)
    return out.getvalue()


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _geotiff(
    data: NDArray[np.float32] | NDArray[np.uint8],
    canvas: Canvas,
    nodata: float,
    description: str,
    tags: dict[str, str],
    colors: dict[int, tuple[int, int, int, int]] | None,
) -> bytes:
    profile = {
        "driver": "GTiff",
        "width": canvas.width,
        "height": canvas.height,
        "count": 1,
        "dtype": data.dtype,
        "crs": CRS.from_string(canvas.crs),
        "transform": from_bounds(*canvas.bounds, canvas.width, canvas.height),
        "nodata": nodata,
        "compress": "deflate",
        "tiled": min(canvas.width, canvas.height) >= _STEPS,
    }
    with MemoryFile() as memory:
        with rasterio.Env(), memory.open(**profile) as dataset:
            dataset.write(data, 1)
            dataset.set_band_description(1, description)
            dataset.update_tags(1, **tags)
            if colors is not None:
                dataset.write_colormap(1, {0: (0, 0, 0, 0), **colors})
        return bytes(memory.read())
