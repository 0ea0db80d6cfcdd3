"""Decodes untrusted query images: size-limited, and with no access to other files."""

import io
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from bandsight.errors import ImageError
from bandsight.raster.bands import number_type
from bandsight.raster.drivers import without_tracebacks
from bandsight.raster.filling import filled
from bandsight.raster.masks import file_mask
from bandsight.raster.orientation import north_up, turned
from bandsight.raster.windows import read_mask
from bandsight.sensors.scaling import Decibel, decibel, stretch
from bandsight.sensors.stretch_tags import read_stretch_tags

RGB_UM = (0.665, 0.56, 0.49)
MAX_PIXELS = 50_000_000
# Longest side of the returned image. The model's input is smaller, and this bounds memory for any number of bands.
_LONGEST_PX = 1024
_MAX_BANDS = 512
# A TIFF may have many bands and wide data types, so it is limited by bytes; 8 fits e.g. four bands of 16 bits.
_BYTES_PER_PIXEL = 8
# A progressive JPEG is decoded once per scan. Cameras and web tools write about ten.
_MAX_SCANS = 64
# Limit on images (IFDs) in a TIFF: only the first is used, but GDAL scans all directories.
_MAX_PAGES = 64
# Limit on blocks: reading time grows with their number.
_MAX_BLOCKS = 65_536
_JPEG, _START_OF_SCAN = b"\xff\xd8\xff", b"\xff\xda"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEEDED = "need a PNG, a JPEG or a GeoTIFF"
_PERCENTILES = (2.0, 98.0)
NumbersOf = tuple[str, tuple[float, ...]]
"""NumPy data type and band wavelengths of a TIFF: images that agree in both share one scaling."""


def decode_query_image(
    data: bytes,
    wavelengths: Sequence[float] | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    limits: Mapping[NumbersOf, Sequence[tuple[float, float]]] | None = None,
) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
    """Return the pixels of a query image, uint8 (C, H, W), and the centre wavelength of each band, µm.

    Args:
        data: The file's bytes: PNG, JPEG or GeoTIFF.
        wavelengths: Centre wavelength of each band, µm. Required unless the image has three bands or states its
            wavelengths.
        max_pixels: Larger images are rejected before decoding.
        limits: Values mapped to 0 and 255 in each band, keyed by data type and wavelengths, for TIFFs that are not
            8-bit and carry no stretch tags. Without an entry, the image's 2nd and 98th percentiles over all bands.

    Raises:
        ImageError: The image is unsupported, damaged or too large, or its bands are unknown.
    """
    if not data:
        raise ImageError(f"query image: the file is empty; {_NEEDED}")
    if data[:4] in _TIFF:
        with _opened(data, max_pixels) as dataset:
            bands, waves, stretches = _bands(dataset, wavelengths)
            values = _read(dataset, bands)
        valid = np.asarray(~np.ma.getmaskarray(np.ma.masked_invalid(values)).all(axis=0), np.bool_)
        if not valid.any():
            raise ImageError("query image: it has no valid pixels; send an image with data")
        if stretches:
            pixels = _stretched_by_tags(values, stretches)
        elif values.dtype == np.uint8:
            pixels = np.ascontiguousarray(values.data)
        else:
            pixels = _stretched(values, (limits or {}).get((str(values.dtype), waves)))
        # Fill as for indexed tiles: the model would take black pixels for ground.
        return filled(pixels, valid), waves
    pixels = _picture(data, max_pixels)
    if wavelengths is not None and tuple(wavelengths) != RGB_UM:
        raise ImageError("query image: a PNG or JPEG is red, green, blue; wavelengths are for GeoTIFFs only")
    return pixels, RGB_UM


def unscaled(data: bytes, wavelengths: Sequence[float] | None = None) -> NumbersOf | None:
    """Return data type and wavelengths of a TIFF that needs a scaling to 0..255, or None; pixels are not decoded.

    Raises:
        ImageError: See `decode_query_image`; damaged pixels are not noticed.
    """
    if data[:4] not in _TIFF:
        return None
    with _opened(data, MAX_PIXELS) as dataset:
        _, waves, stretches = _bands(dataset, wavelengths)
        # Complex values are read as magnitudes.
        kind = np.abs(np.zeros(0, number_type(dataset.dtypes[0]))).dtype
    return None if stretches or kind == np.uint8 else (str(kind), waves)


def numbers(data: bytes) -> np.ma.MaskedArray[Any, Any]:
    """Return the stored values of a TIFF, shape (C, H, W), with nodata masked.

    Raises:
        ImageError: See `decode_query_image`.
    """
    with _opened(data, MAX_PIXELS) as dataset:
        return np.ma.masked_invalid(_read(dataset, _colours(dataset)))


def _picture(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    if (scans := _scans(data)) > _MAX_SCANS:
        raise ImageError(
            f"query image: a JPEG with {scans} scans; at most {_MAX_SCANS} are allowed, so save it as a baseline JPEG"
        )
    try:
        with warnings.catch_warnings():
            # The limit below is stricter than Pillow's warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as stored:
                _check_size(*stored.size, max_pixels)
                # Decode a JPEG at reduced size.
                stored.draft("RGB", (_LONGEST_PX, _LONGEST_PX))
                image = _turned_by_exif(stored)
                if image.mode.startswith("I"):
                    # 16-bit greyscale, which convert() would clip at 255.
                    rgb = Image.fromarray(_stretched(np.ma.asarray(image))).convert("RGB")
                else:
                    rgb = image.convert("RGB")
    except UnidentifiedImageError as error:
        raise ImageError(f"query image: {_kind(data)}; {_NEEDED} of at most {max_pixels:,} pixels") from error
    except Image.DecompressionBombError as error:
        # Pillow rejects it from the header alone.
        found = f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
        raise ImageError(f"query image: {found}; {_at_most(max_pixels)}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"query image: damaged or truncated ({error}); send the whole file") from error
    rgb.thumbnail((_LONGEST_PX, _LONGEST_PX), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))


def _scans(data: bytes) -> int:
    """Count the scans of a JPEG by its markers, without decoding; 0 for other formats."""
    if not data.startswith(_JPEG):
        return 0
    # Within a scan, 0xFF bytes are escaped (followed by 0), so this finds markers only.
    return data.count(_START_OF_SCAN)


def _pages(data: bytes) -> int:
    """Count the images (IFDs) of a TIFF without decoding; stops at one more than allowed."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    is_big = data[2:4] in {b"+\0", b"\0+"}
    width, entry, counted = (8, 20, 8) if is_big else (4, 12, 2)

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    at, pages = number(8 if is_big else 4, width), 0
    while 0 < at < len(data) and pages <= _MAX_PAGES:
        pages += 1
        at = number(at + counted + number(at, counted) * entry, width)
    return pages


def _turned_by_exif(stored: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    try:
        return ImageOps.exif_transpose(stored)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        # Ignore damaged EXIF; damaged pixels are reported when decoded.
        return stored


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[DatasetReader]:
    """Open a TIFF after checking its size; GDAL errors become `ImageError`."""
    if _pages(data) > _MAX_PAGES:
        raise ImageError(f"query image: a TIFF with more than {_MAX_PAGES} images; send only the one to search with")
    try:
        with MemoryFile(data) as memory:
            with without_tracebacks():
                dataset = memory.open(driver="GTiff")
            with dataset:
                _check_size(dataset.width, dataset.height, max_pixels)
                if dataset.count > _MAX_BANDS:
                    raise ImageError(f"query image: {dataset.count} bands; at most {_MAX_BANDS} are allowed")
                _check_bytes(dataset, max_pixels)
                yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise ImageError(f"query image: a TIFF that cannot be read ({reason}); send the whole file") from error


def _bands(
    dataset: DatasetReader, wavelengths: Sequence[float] | None
) -> tuple[list[int], tuple[float, ...], list[tuple[float, float, Decibel | None]]]:
    """Return the bands other than alpha, their wavelengths, and their stretches if all bands have stretch tags."""
    bands = _colours(dataset)
    stretches = [read_stretch_tags(dataset.tags(i)) for i in bands]
    own = [one for one in stretches if one is not None]
    waves = _wavelengths([dataset.tags(i, ns="IMAGERY") for i in bands], wavelengths)
    return bands, waves, own if len(own) == len(stretches) else []


def _colours(dataset: DatasetReader) -> list[int]:
    """Return the indexes of all bands other than alpha, from 1."""
    return [i for i, interp in enumerate(dataset.colorinterp, 1) if interp.name != "alpha"]


def _read(dataset: DatasetReader, bands: list[int]) -> np.ma.MaskedArray[Any, Any]:
    """Read bands, shape (bands, rows, columns), north up, with nodata masked."""
    shrink = max(1.0, max(dataset.width, dataset.height) / _LONGEST_PX)
    shape = (max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink)))
    values = dataset.read(bands, out_shape=(len(bands), *shape))
    seen = read_mask(dataset, file_mask(dataset, bands), bands, None, shape)
    masked = np.ma.MaskedArray(
        values, np.zeros(values.shape, bool) if seen is None else ~seen | np.zeros(values.shape, bool)
    )
    if not dataset.transform.is_identity:
        upright, _, _ = north_up(dataset.transform, dataset.width, dataset.height)
        step = ~dataset.transform @ upright
        masked = np.ma.MaskedArray(turned(masked.data, step), turned(np.ma.getmaskarray(masked), step))
    return np.abs(masked) if np.iscomplexobj(masked) else masked


def _stretched_by_tags(
    values: np.ma.MaskedArray[Any, Any], stretches: Sequence[tuple[float, float, Decibel | None]]
) -> NDArray[np.uint8]:
    """Scale an exported tile by its stretch tags, to the values the model saw."""
    numbers = np.nan_to_num(np.ma.filled(values, 0).astype(np.float32), posinf=0, neginf=0)
    layers = [
        decibel(layer, to_db) if to_db else layer for layer, (_, _, to_db) in zip(numbers, stretches, strict=True)
    ]
    return np.stack([stretch(layer, low, high) for layer, (low, high, _) in zip(layers, stretches, strict=True)])


def _stretched(
    values: np.ma.MaskedArray[Any, Any], limits: Sequence[tuple[float, float]] | None = None
) -> NDArray[np.uint8]:
    """Scale values to 0..255; masked and non-finite values become 0."""
    seen = np.ma.masked_invalid(values)
    if limits is not None:
        bands = zip(seen.astype(np.float32), limits, strict=True)
        return np.stack([stretch(np.ma.filled(band, low), low, high) for band, (low, high) in bands])
    low, high = np.percentile(seen.compressed().astype(np.float32), _PERCENTILES)
    return stretch(np.asarray(np.ma.filled(seen, low), np.float32), float(low), float(high))


def _wavelengths(tags: list[dict[str, str]], given: Sequence[float] | None) -> tuple[float, ...]:
    if given is not None:
        if len(given) != len(tags):
            raise ImageError(f"query image: {len(tags)} bands but {len(given)} wavelengths; pass one for each band")
        return tuple(float(value) for value in given)
    try:
        own = [float(tag["CENTRAL_WAVELENGTH_UM"]) for tag in tags]
    except (KeyError, ValueError):
        own = []
    if own:
        return tuple(own)
    if len(tags) == len(RGB_UM):
        return RGB_UM
    raise ImageError(
        f"query image: {len(tags)} bands without wavelengths; pass the centre wavelength of each in µm, "
        "or send red, green and blue"
    )


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(f"query image: {width}×{height} pixels; {_at_most(max_pixels)}")


def _check_bytes(dataset: DatasetReader, max_pixels: int) -> None:
    size = dataset.width * dataset.height * sum(number_type(name).itemsize for name in dataset.dtypes)
    if size > max_pixels * _BYTES_PER_PIXEL:
        raise ImageError(
            f"query image: {dataset.width}×{dataset.height} pixels with {dataset.count} bands ({dataset.dtypes[0]}) "
            "take "
            f"{size:,} bytes; at most {max_pixels * _BYTES_PER_PIXEL:,} are allowed, so crop or downsample it"
        )
    pieces = sum(-(-dataset.height // rows) * -(-dataset.width // cols) for rows, cols in dataset.block_shapes)
    if pieces > _MAX_BLOCKS:
        raise ImageError(
            f"query image: it has {pieces:,} blocks; at most {_MAX_BLOCKS:,} are allowed, so write it with "
            "larger blocks"
        )


def _at_most(max_pixels: int) -> str:
    return f"at most {max_pixels:,} are allowed, so crop or downsample it"


def _kind(data: bytes) -> str:
    for magic, name in (
        (b"GIF8", "a GIF"),
        (b"%PDF", "a PDF"),
        (b"PK", "a zip archive"),
        (b"<", "markup text"),
    ):
        if data.startswith(magic):
            return f"found {name}"
    return "unknown image format"
