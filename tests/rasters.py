"""Writes small rasters for tests."""

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

RGB = ("red", "green", "blue")
# Name, dimensions, attributes, type (3: int16, 4: int32, 6: float64) and values of a variable of a NetCDF file.
_Variable = tuple[str, list[int], dict[str, str], int, NDArray[Any]]


def picture(bands: int, height: int, width: int, seed: int = 0, dtype: str = "uint8") -> NDArray[Any]:
    """Return numbers with structure: blocks of 8 pixels, from 1 up, so that nothing looks like fill."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(1, 255, (bands, -(-height // 8), -(-width // 8)))
    return np.kron(coarse, np.ones((1, 8, 8), int))[:, :height, :width].astype(dtype)


def write(
    path: Path,
    values: NDArray[Any],
    *,
    crs: str | None = "EPSG:32633",
    origin: tuple[float, float] = (400_000.0, 5_800_000.0),
    gsd: float = 10.0,
    transform: Any = None,
    **profile: Any,
) -> Path:
    """Write bands (C, H, W) as GeoTIFF; without a CRS also without georeference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    if crs is None and transform is not None:
        profile |= {"transform": transform}
    if crs is not None:
        profile |= {"crs": crs, "transform": transform or from_origin(*origin, gsd, gsd)}
    if count == len(RGB) and values.dtype == np.uint8:
        profile.setdefault("photometric", "RGB")
    with warnings.catch_warnings():
        # Some of these lie nowhere on purpose.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        opened = rasterio.open(
            path, "w", driver="GTiff", width=width, height=height, count=count, dtype=values.dtype, **profile
        )
    with opened as dataset:
        dataset.write(values)
    return path


def variables(path: Path, names: Sequence[str], side: int = 64) -> Path:
    """Write a NetCDF file (classic format, CF) with a variable (y, x) of whole numbers for each band, on a UTM grid."""
    wkt = CRS.from_epsg(32633).to_wkt()
    found: list[_Variable] = []
    for number, (name, first, step) in enumerate((("y", 5_800_000, -10), ("x", 400_000, 10))):
        units = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
        found.append((name, [number], units, 6, (first + step * (np.arange(side) + 0.5)).astype(">f8")))
    grid = {"crs_wkt": wkt, "grid_mapping_name": "transverse_mercator"}
    found.append(("spatial_ref", [], grid, 4, np.zeros(1, ">i4")))
    for number, name in enumerate(names):
        values = picture(1, side, side, seed=number, dtype="int16")[0] * 10
        found.append((name, [0, 1], {"grid_mapping": "spatial_ref"}, 3, values.astype(">i2")))
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = len(_classic_header(found, side, 0))
    path.write_bytes(_classic_header(found, side, begin) + b"".join(values.tobytes() for *_, values in found))
    return path


def _classic_header(found: Sequence[_Variable], side: int, begin: int) -> bytes:
    """Return the header of a NetCDF file (Unidata, classic format specification) whose data begin at a byte."""

    def number(*values: int) -> bytes:
        return struct.pack(f">{len(values)}I", *values)

    def text(value: str) -> bytes:
        data = value.encode()
        return number(len(data)) + data + b"\0" * (-len(data) % 4)

    out = b"CDF\x01" + number(0, 10, 2) + text("y") + number(side) + text("x") + number(side) + number(0, 0)
    out += number(11, len(found))
    for name, dimensions, attributes, kind, values in found:
        out += text(name) + number(len(dimensions), *dimensions, 12, len(attributes))
        for key, value in attributes.items():
            out += text(key) + number(2) + text(value)
        out += number(kind, values.nbytes, begin)
        begin += values.nbytes
    return out
