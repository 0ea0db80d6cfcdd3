"""Query images: what is accepted, what is rejected, and that nothing else can happen."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_AppDefinedError
from rasterio.io import MemoryFile

from bandsight.errors import ImageError
from bandsight.query_image import RGB_UM, decode_query_image

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)


def picture(values: NDArray[np.generic], kind: str = "PNG", mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(out, kind)
    return out.getvalue()


def geotiff(values: NDArray[np.generic], waves: Sequence[float] = (), **options: object) -> bytes:
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=len(values),
            height=values.shape[1],
            width=values.shape[2],
            dtype=values.dtype,
            crs="EPSG:32633",
            transform=rasterio.Affine(10, 0, 500000, 0, -10, 5000000),
            **options,
        ) as dataset:
            dataset.write(values)
            for index, wave in enumerate(waves, 1):
                dataset.update_tags(index, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(wave))
        return bytes(memory.read())


def bomb(width: int, height: int) -> bytes:
    """A PNG that is small as a file and huge once decoded: rows of zeros, as far as anybody reads."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 16)))
        + chunk(b"IEND", b"")
    )


def test_a_png_is_decoded_exactly_with_the_wavelengths_of_colour() -> None:
    pixels, waves = decode_query_image(picture(COLOUR))
    np.testing.assert_array_equal(pixels, COLOUR.transpose(2, 0, 1))
    assert waves == RGB_UM


def test_a_jpeg_is_decoded_almost_exactly() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 32, dtype=np.uint8)[None, :, None], (24, 32, 3))
    pixels, _ = decode_query_image(picture(smooth, "JPEG"))
    assert pixels.shape == (3, 24, 32)
    assert np.abs(pixels.astype(int) - smooth.transpose(2, 0, 1)).max() < 12


def test_a_grey_png_becomes_three_equal_bands() -> None:
    pixels, waves = decode_query_image(picture(COLOUR[..., 0]))
    np.testing.assert_array_equal(pixels, np.stack([COLOUR[..., 0]] * 3))
    assert waves == RGB_UM


def test_a_png_with_transparency_or_palette_becomes_three_bands() -> None:
    for mode in ("RGBA", "P", "LA", "1"):
        pixels, waves = decode_query_image(picture(COLOUR, mode=mode))
        assert pixels.shape == (3, 24, 32)
        assert waves == RGB_UM


def test_a_16_bit_grey_png_keeps_its_grey_levels() -> None:
    ramp = np.broadcast_to(np.linspace(0, 65535, 32, dtype=np.uint16), (24, 32))
    pixels, _ = decode_query_image(picture(np.ascontiguousarray(ramp)))
    assert len(np.unique(pixels)) > 24


def test_a_large_image_is_downsampled_with_the_same_aspect_ratio() -> None:
    pixels, _ = decode_query_image(picture(np.zeros((300, 3000, 3), np.uint8)))
    assert max(pixels.shape) <= 1024
    assert pixels.shape[2] / pixels.shape[1] == pytest.approx(10, rel=0.02)


def test_a_geotiff_of_three_bands_is_read_unchanged_as_colour() -> None:
    values = np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    pixels, waves = decode_query_image(geotiff(values))
    np.testing.assert_array_equal(pixels, values)
    assert waves == RGB_UM


def test_a_big_tiff_is_read_too() -> None:
    values = np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    data = geotiff(values, BIGTIFF="YES")
    assert data[2] == 43
    np.testing.assert_array_equal(decode_query_image(data)[0], values)


def test_a_tiff_without_georeferencing_is_accepted() -> None:
    assert decode_query_image(picture(COLOUR, "TIFF"))[0].shape == (3, 24, 32)


def test_a_geotiff_has_its_own_wavelengths() -> None:
    waves = (0.49, 0.56, 0.665, 0.842, 1.61)
    pixels, found = decode_query_image(geotiff(RNG.integers(0, 255, (5, 16, 16), dtype=np.uint8), waves))
    assert found == waves
    assert pixels.shape == (5, 16, 16)


def test_passed_wavelengths_apply_to_a_geotiff_without_any() -> None:
    values = RNG.integers(0, 255, (2, 16, 16), dtype=np.uint8)
    assert decode_query_image(geotiff(values), [5.405, 5.405])[1] == (5.405, 5.405)


def test_other_numbers_are_stretched_jointly_over_the_bands() -> None:
    values = np.zeros((3, 20, 20), np.uint16)
    values[0] = np.linspace(1000, 3000, 400).reshape(20, 20)
    values[1], values[2] = values[0] + 500, 2000
    pixels, _ = decode_query_image(geotiff(values))
    assert pixels.dtype == np.uint8
    assert pixels.min() == 0
    assert pixels.max() == 255
    # One stretch for all: what was larger stays larger, and an even band stays even.
    assert (pixels[1] >= pixels[0]).all()
    assert len(np.unique(pixels[2])) == 1


def test_nan_and_nodata_do_not_affect_the_stretch() -> None:
    values = RNG.uniform(0.1, 0.2, (3, 20, 20)).astype(np.float32)
    values[:, :5] = -9999
    values[:, 5, 0] = np.nan
    pixels, _ = decode_query_image(geotiff(values, nodata=-9999))
    assert 100 < pixels[:, 6:].mean() < 155


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_pixels_without_data_are_filled_as_in_indexed_tiles(kind: str) -> None:
    values = RNG.integers(1, 256, (3, 20, 20)).astype(kind)
    whole, _ = decode_query_image(geotiff(values[:, 5:]))
    values[:, :5] = 0
    pixels, _ = decode_query_image(geotiff(values, nodata=0))
    np.testing.assert_array_equal(pixels[:, 5:], whole)
    np.testing.assert_array_equal(pixels[:, :5], whole[:, 4::-1])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["empty", "PNG"]),
        (b"hello, this is text", ["GeoTIFF"]),
        (picture(COLOUR, "GIF"), ["GIF", "PNG"]),
        (picture(COLOUR, "BMP"), ["PNG"]),
        (b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>", ["markup", "PNG"]),
        (picture(COLOUR)[:200], ["damaged or truncated", "whole"]),
        (picture(COLOUR, "JPEG")[:300], ["damaged or truncated", "whole"]),
        (geotiff(COLOUR.transpose(2, 0, 1))[:300], ["TIFF", "whole"]),
        (b"II*\0" + bytes(50), ["TIFF"]),
        (geotiff(np.zeros((2, 8, 8), np.uint8)), ["2 bands", "wavelength", "µm"]),
        (geotiff(np.zeros((1, 8, 8), np.uint8)), ["1 band", "wavelength"]),
        (geotiff(np.full((3, 8, 8), np.nan, np.float32)), ["no valid pixel"]),
        (geotiff(np.zeros((3, 8, 8), np.uint8), nodata=0), ["no valid pixel"]),
    ],
)
def test_unreadable_files_are_rejected_in_one_sentence(data: bytes, words: list[str]) -> None:
    with pytest.raises(ImageError) as caught:
        decode_query_image(data)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert "0x" not in message


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (12_000, 12_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_rejected_by_its_size(width: int, height: int) -> None:
    data = bomb(width, height)
    assert len(data) < 2000
    with pytest.raises(ImageError, match=r"pixels.*at most 50,000,000"):
        decode_query_image(data)


def test_a_tiff_bomb_is_refused_by_its_size() -> None:
    data = geotiff(np.zeros((3, 400, 400), np.uint8), compress="deflate")
    with pytest.raises(ImageError, match=r"400×400 pixels.*at most 10,000"):
        decode_query_image(data, max_pixels=10_000)


def test_a_tiff_in_very_many_pieces_is_refused_before_it_is_read() -> None:
    with MemoryFile() as memory:
        place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(4e5, 5e6, 10, 10)}
        profile = {"driver": "GTiff", "width": 16, "height": 2000, "count": 40, "dtype": "uint8", **place}
        with memory.open(**profile, blockysize=1, interleave="band") as dataset:
            dataset.write(np.ones((40, 2000, 16), np.uint8))
        with pytest.raises(ImageError, match="80,000 blocks; at most 65,536"):
            decode_query_image(memory.read(), [0.5 + n / 100 for n in range(40)])


def test_a_tiff_of_few_pixels_but_many_bands_is_refused_by_its_size() -> None:
    data = geotiff(np.zeros((200, 90, 90), np.float64), compress="deflate")
    with pytest.raises(ImageError, match="200 bands"):
        decode_query_image(data, [0.4 + i / 1000 for i in range(200)], max_pixels=10_000)


def test_wavelengths_must_fit_the_bands() -> None:
    with pytest.raises(ImageError, match="3 bands but 2 wavelengths"):
        decode_query_image(geotiff(np.zeros((3, 8, 8), np.uint8)), [0.5, 0.6])


def test_the_limit_applies_to_pixels_not_to_the_file_size() -> None:
    decode_query_image(picture(COLOUR), max_pixels=24 * 32)
    with pytest.raises(ImageError, match=r"32×24 pixels; at most 767"):
        decode_query_image(picture(COLOUR), max_pixels=24 * 32 - 1)


def test_a_gdal_error_passed_on_by_rasterio_becomes_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        # Found by the test below: it may come with any question about a damaged file.
        raise CPLE_AppDefinedError(3, 1, "Key 2049 of unknown type.")

    monkeypatch.setattr("bandsight.query_image._check_bytes", fail)
    with pytest.raises(ImageError, match=r"TIFF that cannot be read \(Key 2049"):
        decode_query_image(geotiff(COLOUR.transpose(2, 0, 1)))


@given(
    data=st.sampled_from(
        [picture(COLOUR), picture(COLOUR, "JPEG"), geotiff(COLOUR.transpose(2, 0, 1), compress="deflate")]
    ),
    cut=st.integers(0, 4000),
    spoilt=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
)
def test_damage_anywhere_gives_an_image_or_our_error(data: bytes, cut: int, spoilt: list[tuple[int, int]]) -> None:
    damaged = bytearray(data[: max(1, len(data) - cut)])
    for position, value in spoilt:
        damaged[position % len(damaged)] = value
    try:
        pixels, waves = decode_query_image(bytes(damaged), max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[0] == len(waves)
