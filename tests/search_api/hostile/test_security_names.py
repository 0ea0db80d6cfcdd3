"""Known vulnerabilities of raster servers and their libraries, by name, tried on this server."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight.query_image import decode_query_image
from tests.rasters import picture, write
from tests.search_api.test_errors import assert_problem

SECRET = b"top secret of this machine"


def _zip(method: int) -> bytes:
    """Return a ZIP archive with a TIFF whose entry names a compression method."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.tif", b"II*\0" + b"x" * 100)
    data = bytearray(out.getvalue())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.index(signature)
        data[start + at : start + at + 2] = struct.pack("<H", method)
    return bytes(data)


def _fits() -> bytes:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
    cards += ["NAXIS1  =               999999", "NAXIS2  =               999999", "END"]
    return b"".join(card.ljust(80).encode() for card in cards).ljust(2880)


def _vrt(target: str) -> bytes:
    source = f'<SimpleSource><SourceFilename relativeToVRT="0">{target}</SourceFilename></SimpleSource>'
    band = f'<VRTRasterBand dataType="Byte" band="1">{source}</VRTRasterBand>'
    return f'<VRTDataset rasterXSize="8" rasterYSize="8">{band}</VRTDataset>'.encode()


def _mrf(folder: Path) -> bytes:
    return f"""<MRF_META><Raster><Size x="8" y="8" c="3"/><DataFile>{folder}/made.ppg</DataFile>
        <IndexFile>{folder}/made.idx</IndexFile></Raster><CachedSource><Source>{folder}/secret</Source></CachedSource>
        </MRF_META>""".encode()


def _png_with_text(size: int) -> bytes:
    """Return a PNG with a compressed text that is large when it is read."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    text = b"Comment\0\0" + zlib.compress(b"a" * size, 9)
    pixels = zlib.compress(b"\0" * 9 * 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"zTXt", text)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def _tiff_chain(pages: int) -> bytes:
    """Return a TIFF of many directories of one tag each."""
    entry = struct.pack("<HHHII", 1, 256, 3, 1, 8)
    directories = b"".join(entry + struct.pack("<I", 8 + 18 * (page + 1)) for page in range(pages))
    return b"II*\0" + struct.pack("<I", 8) + directories + b"\0" * 18


def _jpeg_of_scans(scans: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(3, 64, 64, seed=1).transpose(1, 2, 0)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def _files(folder: Path) -> dict[str, Callable[[], bytes]]:
    secret = folder / "secret"
    return {
        "VRT that reads another file (gdal#12645)": lambda: _vrt(str(secret)),
        "VRT that reads a URL": lambda: _vrt("/vsicurl/http://127.0.0.1:9/x.tif"),
        "VRT with a header file (GDAL PR 14740)": lambda: _vrt(
            f"/vsicurl?header_file={secret}&url=http://127.0.0.1:9/x.tif"
        ),
        "MRF that creates files (gdal#14739)": lambda: _mrf(folder),
        "HDF4 (CVE-2026-8087, 8088, 8212)": lambda: b"\x0e\x03\x13\x01" + b"\0" * 400,
        "deflate64 in a ZIP (CVE-2026-4738)": lambda: _zip(9),
        "FITS bomb": lambda: _fits(),
        "PSD (CVE-2026-25990)": lambda: (
            b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3) + b"\xff" * 200
        ),
        "GZIP of FITS (CVE-2026-40192)": lambda: b"\x1f\x8b\x08\0\0\0\0\0" + zlib.compress(_fits()),
        "PDF (CVE-2026-42308 to 42311)": lambda: b"%PDF-1.7\n1 0 obj<</Prev 1>>",
        "JPEG of 20,000 scans": lambda: _jpeg_of_scans(20_000),
        "TIFF of 100,000 directories": lambda: _tiff_chain(100_000),
        "text of 64 MB in a PNG": lambda: _png_with_text(2**26),
    }


NAMES = list(_files(Path()))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_refused_without_touching_anything(client: TestClient, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    before = sorted(path.name for path in tmp_path.iterdir())
    refused = client.post("/search", files={"image": _files(tmp_path)[name]()})
    assert_problem(refused, 422, "query image")
    assert SECRET.decode() not in refused.text
    assert str(tmp_path) not in refused.text
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_ordinary_progressive_jpegs_and_tiffs_of_some_pages_still_work(tmp_path: Path) -> None:
    write(tmp_path / "overviews.tif", picture(3, 300, 300, seed=1), tiled=True)
    for data in (_jpeg_of_scans(0), (tmp_path / "overviews.tif").read_bytes()):
        assert decode_query_image(data)[0].dtype == np.uint8


def test_a_range_of_many_parts_costs_no_more_than_a_file(client: TestClient) -> None:
    """CVE-2025-62727: the ranges of a header were merged in quadratic time."""
    path = next(Path("search_api/static").glob("*.js")).name
    client.get(f"/static/{path}")

    def seconds(send: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            send()
            times.append(time.perf_counter() - start)
        return min(times)

    many = ",".join(f"{start}-{start + 1}" for start in range(0, 30_000, 3))
    plain = seconds(lambda: client.get(f"/static/{path}"))
    assert seconds(lambda: client.get(f"/static/{path}", headers={"Range": f"bytes={many}"})) < 20 * plain


def test_a_large_file_of_a_form_does_not_block_the_event_loop(client: TestClient) -> None:
    """CVE-2025-54121: files beyond a megabyte were written to disk on the event loop, without a limit."""
    refused = client.post("/search", files={"image": b"\0" * (25 * 2**20)})
    assert_problem(refused, 413, "upload")
    assert client.get("/healthz").status_code == 200
