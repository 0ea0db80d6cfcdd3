"""Reads HDF4 files (HDF-EOS2 grids, such as MODIS products) with pyhdf, because rasterio's GDAL has no HDF4 driver."""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader, MemoryFile

from bandsight.errors import SceneError, needs_extra
from bandsight.raster.eos_grids import EosGrid, eos_grids
from bandsight.raster.views import DatasetView

PREFIX = "hdf4:"
# The first bytes of HDF4 (The HDF Group, HDF4 specification).
_MAGIC = b"\x0e\x03\x13\x01"
# Maximum number of values of a raster, because it is kept in memory.
_MOST_VALUES = 128 << 20
_TYPES = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"}
_PLANE, _CUBE = 2, 3
# The HDF4 library is not thread-safe.
_lock = threading.Lock()


class Hdf4Container:
    """An HDF4 file as a raster without bands that lists its subdatasets, like GDAL's containers."""

    count = 0

    def __init__(self, subdatasets: list[str]) -> None:
        """Keep the names of the subdatasets."""
        self.subdatasets = subdatasets

    def close(self) -> None:
        """Do nothing; the file is not open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _InMemory(DatasetView):
    """A raster in memory, named like the subdataset it was read from."""

    def __init__(self, memory: MemoryFile, name: str) -> None:
        super().__init__(memory.open())
        self.name = name
        self._memory = memory

    def close(self) -> None:
        """Close the raster and free its memory."""
        self.inner.close()
        self._memory.close()


def is_hdf4(file: Path) -> bool:
    """Return whether a file is HDF4, by its first bytes."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(_MAGIC)) == _MAGIC
    except OSError:
        # Opening the raster reports the error.
        return False


def can_read() -> bool:
    """Return whether the package that reads HDF4 is installed (extra `hdf4`)."""
    return find_spec("pyhdf") is not None


def open_container(file: Path) -> DatasetReader:
    """Return an HDF4 file as a container of the rasters on its grids.

    Raises:
        SceneError: It cannot be read, or has no grid.
        MissingExtraError: pyhdf is not installed.
    """
    with _opened(file) as scientific:
        grids, names = _grids(file, scientific), list(scientific.datasets())
    found = [name for name in names if any(name in grid.fields for grid in grids)]
    return cast("DatasetReader", Hdf4Container([f"{PREFIX}{file}:{name}" for name in found]))


def open_band(file: Path, name: str, href: str) -> DatasetReader:
    """Read a raster of an HDF4 file into memory; the caller closes it.

    Args:
        file: The file.
        name: Name of the scientific data set.
        href: Name for the raster and for messages.

    Raises:
        SceneError: It cannot be read, is not on a grid, or is too large.
        MissingExtraError: pyhdf is not installed.
    """
    with _opened(file) as scientific:
        if name not in scientific.datasets():
            raise SceneError(f"{href}: the file has no {name!r}; it may have changed, so index it again")
        grid = next((grid for grid in _grids(file, scientific) if name in grid.fields), None)
        if grid is None:
            raise SceneError(f"{href}: is not on a grid; pass another part of the file")
        values, attributes = _read(scientific, name, grid, href)
    memory = MemoryFile()
    with memory.open(
        driver="GTiff",
        width=grid.width,
        height=grid.height,
        count=len(values),
        dtype=values.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=_nodata(attributes, values.dtype),
        tiled=True,
        blockxsize=256,
        blockysize=256,
    ) as dataset:
        dataset.write(values)
        dataset.descriptions = (name,) * len(values)
        dataset.scales, dataset.offsets = ([one] * len(values) for one in _scale(attributes))
    return cast("DatasetReader", _InMemory(memory, href))


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an HDF4 file, one at a time; errors of the library become `SceneError`."""
    with needs_extra("hdf4", f"{file}: reading HDF4"):
        from pyhdf.error import HDF4Error
        from pyhdf.SD import SD
    with _lock:
        try:
            scientific = SD(str(file))
            try:
                yield scientific
            finally:
                scientific.end()
        except (HDF4Error, UnicodeError, ValueError, TypeError) as error:
            raise SceneError(f"{file}: not a readable HDF4 file ({error}); download it again") from error


def _grids(file: Path, scientific: Any) -> list[EosGrid]:
    attributes: Mapping[str, Any] = scientific.attributes()
    parts = (str(attributes.get(f"StructMetadata.{number}", "")) for number in range(10))
    text = "".join(part.rstrip("\0") for part in parts)
    grids = eos_grids(text, str(file))
    if grids:
        return grids
    if "SwathName" in text:
        raise SceneError(
            f"{file}: HDF4 in instrument geometry (a swath); reproject it to GeoTIFF, e.g. with satpy, and pass that"
        )
    raise SceneError(
        f"{file}: HDF4 without an HDF-EOS grid, so it cannot be placed on Earth; convert its bands to GeoTIFF with a "
        "GDAL that reads HDF4"
    )


def _read(scientific: Any, name: str, grid: EosGrid, href: str) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """Return the bands of a scientific data set, shape (bands, rows, columns), and its attributes."""
    selected = scientific.select(name)
    try:
        dimensions, (_, rank, sizes, _, _) = grid.fields[name], selected.info()
        shape = [sizes] if rank == 1 else list(sizes)
        axes = {dimension: axis for axis, dimension in enumerate(dimensions)}
        if rank not in {_PLANE, _CUBE} or len(axes) != rank or not {"XDim", "YDim"} <= set(axes):
            raise SceneError(f"{href}: has the dimensions {', '.join(dimensions)}; need rows and columns")
        if (shape[axes["YDim"]], shape[axes["XDim"]]) != (grid.height, grid.width):
            raise SceneError(f"{href}: its size differs from that of its grid; download the file again")
        if math.prod(shape) > _MOST_VALUES:
            raise SceneError(f"{href}: {'×'.join(map(str, shape))} values are too many; convert it to GeoTIFF")
        values = np.asarray(selected.get())
        attributes: Mapping[str, Any] = selected.attributes()
    finally:
        selected.endaccess()
    if values.dtype.name not in _TYPES:
        raise SceneError(f"{href}: holds {values.dtype.name} values; need numbers")
    others = [axis for dimension, axis in axes.items() if dimension not in {"XDim", "YDim"}]
    ordered = values.transpose(*others, axes["YDim"], axes["XDim"])
    return ordered.reshape(-1, grid.height, grid.width), attributes


def _nodata(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> float | None:
    stated = attributes.get("_FillValue")
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= stated <= np.iinfo(dtype).max:
        return None
    return float(stated)


def _scale(attributes: Mapping[str, Any]) -> tuple[float, float]:
    """Return scale and offset from stored to physical values.

    Products up to collection 6 state 10000 where they divide (LP DAAC, MOD09 and MOD13 user guides).
    """
    stated = attributes.get("scale_factor")
    scale = float(stated) if isinstance(stated, int | float) and stated > 0 else 1.0
    offset = attributes.get("add_offset")
    return 1 / scale if scale > 1 else scale, float(offset) if isinstance(offset, int | float) else 0.0
