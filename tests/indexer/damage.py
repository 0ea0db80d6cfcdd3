"""Damages small rasters in every way that an archive, a bad disk or an attacker does."""

import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil

from tests.rasters import picture, write

_TAGS = {
    "width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "strip offsets": 273,
    "samples": 277, "rows per strip": 278, "strip counts": 279, "planar": 284, "predictor": 317, "tile width": 322,
    "tile length": 323, "tile offsets": 324, "tile counts": 325, "sample format": 339,
}  # fmt: skip
_LIES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)


def sound(folder: Path) -> list[Path]:
    """Write one small raster of each kind that scenes come in."""
    values = picture(3, 96, 96)
    kinds = {
        "striped": {},
        "deflated": {"compress": "deflate", "predictor": 2},
        "lzw": {"compress": "lzw", "tiled": True, "blockxsize": 32, "blockysize": 32},
        "jpeg": {"compress": "jpeg", "tiled": True, "blockxsize": 32, "blockysize": 32},
        "zstd": {"compress": "zstd", "interleave": "band"},
        "big": {"BIGTIFF": "YES"},
    }
    files = [write(folder / f"{name}.tif", values, **options) for name, options in kinds.items()]
    with rasterio.open(files[2], "r+") as dataset:
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
    # Those whose format does not say that their bands are red, green and blue hold heights.
    files.append(write(folder / "tif_dem.tif", values[:1].astype(np.int16)))
    copies = (("JP2OpenJPEG", "jp2.jp2"), ("PNG", "png.png"), ("ENVI", "envi.dat"))
    heights = (("HFA", "hfa_dem.img"), ("netCDF", "cdf_dem.nc"))
    for source, kinds in ((files[0], copies), (files[-1], heights)):
        for driver, name in kinds:
            rasterio.shutil.copy(source, folder / name, driver=driver)
            files.append(folder / name)
    return files


def damaged(files: list[Path], folder: Path, outside: Path) -> Iterator[Path]:
    """Write and yield broken copies of sound rasters.

    Args:
        files: Sound ones.
        folder: Where the copies go.
        outside: A raster that none of them may make anybody read.
    """
    folder.mkdir(parents=True)
    for file in files:
        data = file.read_bytes()
        for percent in (0, 1, 5, 30, 60, 90, 99):
            yield _save(folder, file, f"cut{percent}", data[: len(data) * percent // 100])
        for seed in range(5):
            yield _save(folder, file, f"head{seed}", _flipped(data, seed, 12, 512))
            yield _save(folder, file, f"body{seed}", _flipped(data, seed + 99, 40, len(data)))
        yield _save(folder, file, "noise", random.Random(1).randbytes(len(data)))  # noqa: S311
        if file.suffix == ".tif" and file.stem != "big":
            for name, tag in _TAGS.items():
                for lie in _LIES:
                    changed = _lying(data, tag, lie)
                    if changed is not None:
                        yield _save(folder, file, f"{name.replace(' ', '-')}{lie}", changed)
            yield _save(folder, file, "circle", _circle(data))
    for make in (_not_numbers, _all_infinite, _vrt, _foreign_overviews, _block_bomb, _zip_bomb):
        yield make(folder, files[0], outside)


def _save(folder: Path, file: Path, what: str, data: bytes) -> Path:
    path = folder / f"{file.stem}-{what}{file.suffix}"
    path.write_bytes(data)
    header = file.with_suffix(".hdr")
    if header.is_file():
        shutil.copy(header, path.with_suffix(".hdr"))
    return path


def _flipped(data: bytes, seed: int, count: int, within: int) -> bytes:
    rng, out = random.Random(seed), bytearray(data)  # noqa: S311
    for _ in range(count):
        out[rng.randrange(min(within, len(out)))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _entries(data: bytes) -> tuple[int, int]:
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    return at, count


def _lying(data: bytes, tag: int, value: int) -> bytes | None:
    """Return a classic TIFF whose tag says something else, None where it has no such tag."""
    at, count = _entries(data)
    for number in range(count):
        place = at + 2 + 12 * number
        found, kind = struct.unpack_from("<HH", data, place)
        if found == tag:
            out = bytearray(data)
            struct.pack_into("<H" if kind == 3 else "<I", out, place + 8, value & (0xFFFF if kind == 3 else 0xFFFFFFFF))
            return bytes(out)
    return None


def _circle(data: bytes) -> bytes:
    """Return a TIFF whose last directory names the first as its next: overviews without end."""
    at, count = _entries(data)
    out = bytearray(data)
    struct.pack_into("<I", out, at + 2 + 12 * count, at)
    return bytes(out)


def _not_numbers(folder: Path, *_: Path) -> Path:
    return write(folder / "nan_dem.tif", np.full((1, 96, 96), np.nan, np.float32))


def _all_infinite(folder: Path, *_: Path) -> Path:
    values = np.full((1, 96, 96), np.inf, np.float32)
    values[:, ::2] = -np.inf
    return write(folder / "inf_dem.tif", values)


def _vrt(folder: Path, _: Path, outside: Path) -> Path:
    path = folder / "vrt.tif"
    path.write_text(
        '<VRTDataset rasterXSize="96" rasterYSize="96"><SRS>EPSG:32633</SRS><GeoTransform>400000,10,0,5800000,0,-10'
        '</GeoTransform><VRTRasterBand dataType="Byte" band="1"><ColorInterp>Red</ColorInterp><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{outside}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    return path


def _foreign_overviews(folder: Path, sound_file: Path, outside: Path) -> Path:
    """Write a raster whose .aux.xml says that its overviews lie in another place."""
    path = folder / "foreign.tif"
    shutil.copy(sound_file, path)
    path.with_name("foreign.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{outside}</MDI></Metadata></PAMDataset>'
    )
    return path


def _block_bomb(folder: Path, *_: Path) -> Path:
    """Write 1 MB that say that they are one strip of 1 GB."""
    side = 32_768
    packer = zlib.compressobj(1)
    strip = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    entries = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8),
        (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, len(strip)),
    ]  # fmt: skip
    at = 8 + len(strip)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    path = folder / "bomb_dem.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + strip + directory)
    path.with_name("bomb_dem.tif.bandsight.json").write_text('{"crs": "EPSG:4326", "bounds": [1, 2, 3, 4]}')
    return path


def _zip_bomb(folder: Path, *_: Path) -> Path:
    """Write a small zip with a file of 64 MB of nothing in it."""
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr("zeros.tif", bytes(64 << 20))
    return path
