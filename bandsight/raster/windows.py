"""Reads windows of a scene's grid, for indexing, display and crops."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from bandsight.errors import QueryError, SceneError
from bandsight.raster.bands import number_type
from bandsight.raster.masks import WHOLE_NUMBERS, FileMask, everywhere
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.orientation import file_shape, turned
from bandsight.raster.scene_raster import Extent, SceneRaster
from bandsight.raster.window_geometry import Inside, Shape, file_window, inside_of, step_px

# Maximum number of stored pixels of a band to decode for one image. Without overviews, an image of a whole scene
# decodes all of them. This allows a Sentinel-2 scene at 10 m.
MAX_DECODED = 150_000_000
# Coarse pixels are computed from at most this many pixels along each side, if nodata must be masked first.
_FINER = 4
# A coarse pixel is valid if half of its mask is.
_HALF = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelWindow:
    """All bands of a window, for the model."""

    values: NDArray[Any]
    """Stored values, shape (bands, rows, columns), in the stored type if all files share an integer type of at most 16
    bits, else float32."""
    valid: NDArray[np.bool_]
    """Valid pixels, shape (rows, columns): valid in some band of each file, and not a fill value."""
    cloud: NDArray[np.bool_] | None
    """Cloud and cloud shadow, shape (rows, columns); None without a quality band."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BandWindow:
    """Some bands of a window, each in its stored type."""

    values: list[NDArray[Any]]
    """One array per band, shape (rows, columns); 0 where invalid; amplitudes of complex values."""
    valid: NDArray[np.bool_]
    """Valid pixels of each band, shape (bands, rows, columns)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Decoded:
    """Decoded bands of one file."""

    values: NDArray[Any]
    """Shape (bands, rows, columns)."""
    finite: NDArray[np.bool_] | None
    """Finite values, same shape; None if all are finite."""
    mask: NDArray[np.bool_] | None
    """Pixels valid by the file's mask, shape (bands or 1, rows, columns); None for all."""


def read_window(raster: SceneRaster, extent: Extent, shape: Shape, files: OpenFiles) -> PixelWindow:
    """Read all bands of a window, for the model.

    Args:
        raster: The scene.
        extent: The window; may extend beyond the scene.
        shape: Rows and columns of the result; pixels are averaged if it is coarser than the files.
        files: The scene's files.

    Raises:
        SceneError: A file cannot be read.
    """
    inside = inside_of(raster, extent, shape)
    cloud = None if raster.quality is None else np.zeros(shape, bool)
    valid = np.zeros(shape, bool)
    if inside is None:
        return PixelWindow(values=np.zeros((len(raster.bands), *shape), np.float32), valid=valid, cloud=cloud)
    finer = _finer(raster, inside, files)
    decoded = {
        href: _read_file(raster, href, positions, inside, files, finer=finer)
        for href, positions in bands_by_file(raster, range(len(raster.bands))).items()
    }
    kinds = {found.values.dtype for found in decoded.values()}
    kind = kinds.pop() if len(kinds) == 1 and kinds <= WHOLE_NUMBERS else np.dtype(np.float32)
    values = _assembled(raster, decoded, kind, inside, shape, finer)
    there = _valid(raster, values, decoded, inside, finer)
    if finer > 1:
        values, there = _reduced(values, there, finer, coarsest=finer == step_px(inside))
        if inside.shape != shape:
            whole = np.zeros((len(values), *shape), kind)
            whole[:, *inside.at] = values
            values = whole
    valid[inside.at] = there
    if raster.quality is not None and cloud is not None:
        numbers = _read_quality(raster, inside, files)
        cloud[inside.at] = raster.quality.quality.cloudy(numbers)
        valid[inside.at] &= ~raster.quality.quality.empty(numbers)
    return PixelWindow(values=values, valid=valid, cloud=cloud)


def read_bands(
    raster: SceneRaster,
    positions: Sequence[int],
    extent: Extent,
    shape: Shape,
    *,
    files: OpenFiles,
    max_decoded: int = MAX_DECODED,
) -> BandWindow:
    """Read some bands of a window, each in its stored type and with its own mask.

    Args:
        raster: The scene.
        positions: Positions of the bands in the scene.
        extent: The window; may extend beyond the scene.
        shape: Rows and columns of the result; pixels are averaged if it is coarser than the files.
        files: The scene's files.
        max_decoded: Maximum number of stored pixels to decode per band.

    Raises:
        SceneError: A file is missing or cannot be read.
        QueryError: Too many pixels would have to be decoded.
    """
    valid = np.zeros((len(positions), *shape), bool)
    inside = inside_of(raster, extent, shape)
    if inside is None:
        return BandWindow(values=[np.zeros(shape, np.float32) for _ in positions], valid=valid)
    values: list[NDArray[Any]] = [np.empty(0)] * len(positions)
    for href, own in bands_by_file(raster, positions).items():
        found = _read_file(raster, href, [positions[at] for at in own], inside, files, max_decoded=max_decoded)
        seen = band_validity(raster, found.values, found.finite, found.mask)
        if raster.collar is not None:
            seen = seen & ~_in_collar(raster, found.values, inside)
        shown = np.where(seen, found.values, 0).astype(found.values.dtype, copy=False)
        for at, band, mask in zip(own, shown, seen, strict=True):
            values[at] = np.zeros(shape, band.dtype)
            values[at][inside.at], valid[at][inside.at] = band, mask
    return BandWindow(values=values, valid=valid)


def band_validity(
    raster: SceneRaster, values: NDArray[Any], finite: NDArray[np.bool_] | None, mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Return the valid pixels of each band, shape (bands, rows, columns).

    Args:
        raster: The scene.
        values: Bands of one file, shape (bands, rows, columns).
        finite: Finite values, same shape; None if all are finite.
        mask: Pixels valid by the file's mask, shape (bands or 1, rows, columns); None for all.
    """
    seen = np.ones(values.shape, bool)
    for one in (finite, mask):
        if one is not None:
            seen &= one
    if raster.nodata is not None:
        seen &= values != raster.nodata
    for fill in raster.fill_values:
        seen &= ~everywhere(values, fill)
    return seen


def decoded_pixels(dataset: DatasetReader, width: float, height: float, shape: Shape) -> float:
    """Return how many stored pixels of a band are decoded for a window, given the overviews."""
    step = min(width / shape[1], height / shape[0])
    finest = max((factor for factor in dataset.overviews(1) if factor <= step), default=1)
    return width * height / finest**2


def step_of(raster: SceneRaster, files: OpenFiles, href: str) -> Affine:
    """Return the affine transform from the scene's pixels to those of a file."""
    step: Affine = ~files.transform(raster, href) @ Affine(*raster.transform)
    return step


def first_line(error: BaseException) -> str:
    """Return the first line of an error message; GDAL's message for rasterio's generic errors."""
    while isinstance(error, RasterioError) and error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]


def bands_by_file(raster: SceneRaster, positions: Sequence[int]) -> dict[str, list[int]]:
    """Return the indexes into `positions` of the bands in each file, by href, so that each file is read once."""
    found: dict[str, list[int]] = {}
    for at, position in enumerate(positions):
        found.setdefault(raster.bands[position].href, []).append(at)
    return found


def _finer(raster: SceneRaster, inside: Inside, files: OpenFiles) -> int:
    """Return how many finer pixels along each side are read per coarse pixel, to mask nodata before averaging.

    GDAL excludes pixels masked by the file itself from averages, but not nodata values that only the profile knows.
    """
    step = step_px(inside)
    if step == 1 or (raster.nodata is None and not raster.fill_values and raster.collar is None):
        return 1
    kinds = {files.mask(raster, href).kind for href in {band.href for band in raster.bands}}
    known = kinds <= {"alpha", "mask"} or ("none" not in kinds and set(raster.fill_values) <= {raster.nodata})
    return 1 if known and raster.collar is None else min(step, _FINER)


def _assembled(
    raster: SceneRaster,
    decoded: dict[str, _Decoded],
    kind: np.dtype[Any],
    inside: Inside,
    shape: Shape,
    finer: int,
) -> NDArray[Any]:
    """Return all bands in the scene's order; only the part inside the scene if they will be reduced."""
    size = (inside.shape[0] * finer, inside.shape[1] * finer) if finer > 1 else shape
    if len(decoded) == 1 and inside.shape == shape:
        ((_, only),) = decoded.items()
        return _as_kind(only.values, kind)
    values = np.zeros((len(raster.bands), *size), kind)
    at = np.s_[:, :] if finer > 1 else inside.at
    for href, positions in bands_by_file(raster, range(len(raster.bands))).items():
        for position, band in zip(positions, decoded[href].values, strict=True):
            values[position][at] = _as_kind(band, kind)
    return values


def _as_kind(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Convert values to another type; values too large for float32 become 0."""
    if values.dtype == kind:
        return values
    with np.errstate(over="ignore"):
        return np.asarray(np.nan_to_num(values.astype(kind), copy=False, posinf=0, neginf=0))


def _valid(
    raster: SceneRaster, values: NDArray[Any], decoded: dict[str, _Decoded], inside: Inside, finer: int
) -> NDArray[np.bool_]:
    """Return the valid pixels of a window: valid in some band of each file, and without a fill value in all bands."""
    own = values if finer > 1 else values[:, *inside.at]
    valid = np.ones(own.shape[1:], bool)
    for found in decoded.values():
        # Like GDAL's dataset mask, one valid band suffices, because the nodata value may be a real value in another.
        # NaN is always invalid.
        if found.finite is not None:
            valid &= found.finite.all(axis=0)
        if found.mask is not None:
            valid &= found.mask.any(axis=0)
        if raster.nodata is not None:
            valid &= ~everywhere(found.values, raster.nodata)
    for fill in raster.fill_values:
        valid &= ~everywhere(own, fill)
    if raster.collar is not None:
        valid &= ~_in_collar(raster, own, inside)
    return valid


def _in_collar(raster: SceneRaster, values: NDArray[Any], inside: Inside) -> NDArray[np.bool_]:
    """Return which pixels are in the scene's collar."""
    assert raster.collar is not None
    rows, cols = values.shape[1:]
    near = raster.collar.window(inside.extent, (rows, cols), (raster.width, raster.height))
    return near & raster.collar.is_empty(values) if near.any() else near


def _reduced(
    values: NDArray[Any], valid: NDArray[np.bool_], finer: int, *, coarsest: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Average the valid pixels of each block; a block is valid if at least half of it is."""
    if not coarsest and not valid.all():
        # The finer pixels are averages themselves, so those next to empty ones may be contaminated.
        padded = np.pad(valid, 1, constant_values=True)
        rows, cols = valid.shape
        valid = valid & np.logical_and.reduce(
            [padded[row : row + rows, col : col + cols] for row in range(3) for col in range(3)]
        )
    bands, rows, cols = values.shape
    blocks = values.reshape(bands, rows // finer, finer, cols // finer, finer)
    seen = valid.reshape(rows // finer, finer, cols // finer, finer)
    count = seen.sum(axis=(1, 3))
    total = np.where(seen, blocks, 0).sum(axis=(2, 4), dtype=np.float64)
    mean = total / np.maximum(count, 1)
    if values.dtype.kind in "iu":
        mean = np.floor(mean + 0.5)
    return mean.astype(values.dtype), count * 2 >= finer**2


def _read_file(
    raster: SceneRaster,
    href: str,
    positions: Sequence[int],
    inside: Inside,
    files: OpenFiles,
    *,
    finer: int = 1,
    max_decoded: float = math.inf,
) -> _Decoded:
    """Read some bands of a file on the scene's grid, with the file's own mask."""
    indexes = [raster.bands[position].index for position in positions]
    shape = (inside.shape[0] * finer, inside.shape[1] * finer)
    try:
        dataset = files.dataset(href, raster)
        step = step_of(raster, files, href)
        window = file_window(dataset, step, inside.extent)
        if window is None:
            empty = np.zeros((len(indexes), *shape), number_type(dataset.dtypes[indexes[0] - 1]))
            return _Decoded(values=_real(empty), finite=None, mask=np.zeros(empty.shape, bool))
        own = file_shape(shape, step)
        if (found := decoded_pixels(dataset, window.width, window.height, own)) > max_decoded:
            raise QueryError(
                f"{raster.name}: one image would need {found:,.0f} decoded pixels, at most {max_decoded:,} are "
                "allowed; zoom in, or add overviews to the file (gdaladdo)"
            )
        same = (window.width, window.height) == (own[1], own[0])
        how = Resampling.nearest if same else Resampling.average if window.width > own[1] else Resampling.bilinear
        data = _real(dataset.read(indexes, window=window, out_shape=(len(indexes), *own), resampling=how))
        mask = read_mask(dataset, files.mask(raster, href), indexes, window, own)
    except (RasterioError, IndexError, ValueError) as error:
        # IndexError: no such band. ValueError: the window is outside. The file has changed since indexing.
        raise SceneError(
            f"{href}: cannot be read ({first_line(error)}); download the file again, or index it again if it has "
            "changed"
        ) from error
    finite = np.isfinite(data) if data.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        data = np.where(finite, data, 0).astype(data.dtype, copy=False)
    return _Decoded(
        values=turned(data, step),
        finite=None if finite is None else turned(finite, step),
        mask=None if mask is None else turned(mask, step),
    )


def read_mask(
    dataset: DatasetReader, mask: FileMask, indexes: Sequence[int], window: Window | None, shape: Shape
) -> NDArray[np.bool_] | None:
    """Return the valid pixels by the file's own mask.

    Args:
        dataset: The open file.
        mask: How the file marks valid pixels.
        indexes: Band indexes, from 1.
        window: Window to average; None for nearest pixels of the whole file.
        shape: Rows and columns of the result, in the file's orientation.

    Returns:
        Shape (bands or 1, rows, columns); None if all pixels are valid.
    """
    if mask.kind == "none":
        return None
    coarse = window is not None and window.width > shape[1]
    if mask.alpha is not None:
        coarse = coarse and dataset.dtypes[mask.alpha - 1] == "uint8"
        how = Resampling.average if coarse else Resampling.nearest
        found = dataset.read([mask.alpha], window=window, out_shape=(1, *shape), resampling=how)
    else:
        how = Resampling.average if coarse else Resampling.nearest
        found = dataset.read_masks(list(indexes), window=window, out_shape=(len(indexes), *shape), resampling=how)
    return np.asarray(found >= _HALF if coarse else found > 0, np.bool_)


def _read_quality(raster: SceneRaster, inside: Inside, files: OpenFiles) -> NDArray[np.integer]:
    """Read the quality band, without averaging."""
    assert raster.quality is not None
    href = raster.quality.href
    step = ~raster.quality.transform @ Affine(*raster.transform)
    try:
        dataset = files.dataset(href, raster)
        window = file_window(dataset, step, inside.extent)
        if window is None:
            return np.zeros(inside.shape, np.int64)
        own = file_shape(inside.shape, step)
        numbers = dataset.read(1, window=window, out_shape=own, resampling=Resampling.nearest)
    except (RasterioError, ValueError) as error:
        raise SceneError(f"{href}: cannot be read ({first_line(error)}); download the file again") from error
    return turned(np.asarray(numbers, np.int64), step)


def _real(data: NDArray[Any]) -> NDArray[Any]:
    """Return amplitudes of complex values; others unchanged."""
    return np.asarray(np.abs(data)) if np.iscomplexobj(data) else data
