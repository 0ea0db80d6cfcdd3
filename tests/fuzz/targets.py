"""The decoders and parsers, and valid inputs to begin with.

A target takes any bytes. It may raise a `BandsightError`, which becomes a message to the user; anything else is a bug.
"""

import io
import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from bandsight.attributes import cql2
from bandsight.attributes.filters import Filter
from bandsight.attributes.segments import Segment
from bandsight.imagery.tile_mark import read_mark
from bandsight.learning.label_files import read_features
from bandsight.query_image import decode_query_image
from bandsight.search.classifiers import ClassifierTerm
from bandsight.search.request import SaveSearchBody, SearchBody
from bandsight.search.validation import validated
from bandsight.sensors.profile import load_profiles
from bandsight.vectors.local.column_files import SUFFIX as COLUMNS
from bandsight.vectors.local.column_files import load_columns
from bandsight.vectors.local.segments import SUFFIX as SEGMENT
from bandsight.vectors.local.segments import encode_segment, open_segment
from indexer.product_metadata import read_product_metadata
from indexer.sidecar import read_sidecar, sidecar_path
from search_api.keys import KeyFile, KeyRing
from search_api.middleware.access import key_in
from search_api.processes.sources import check_sources
from search_api.sessions import Sessions

_MAX_PIXELS = 1 << 18
_FOLDER = Path(tempfile.mkdtemp(prefix="bandsight-fuzz-"))
_PICTURE = np.random.default_rng(0).integers(0, 255, (3, 24, 24), dtype=np.uint8)


@dataclass(frozen=True)
class Target:
    """Something that decodes bytes."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _file(name: str, data: bytes) -> Path:
    path = _FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _image(data: bytes) -> None:
    decode_query_image(data, max_pixels=_MAX_PIXELS)


def _wide_image(data: bytes) -> None:
    decode_query_image(data, (0.49, 0.56, 0.665, 0.842), max_pixels=_MAX_PIXELS)


def _pillow(kind: str) -> list[bytes]:
    made = []
    for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16"):
        out = io.BytesIO()
        try:
            Image.fromarray(_PICTURE.transpose(1, 2, 0)).convert(mode).save(out, kind)
        except (OSError, ValueError, KeyError):
            continue
        made.append(out.getvalue())
    return made


def _tiffs() -> list[bytes]:
    made = []
    for dtype, count, options in (
        ("uint8", 3, {}),
        ("uint16", 4, {"compress": "deflate", "predictor": 2}),
        ("float32", 1, {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16}),
        ("uint8", 3, {"compress": "jpeg", "photometric": "ycbcr"}),
        ("int16", 2, {"compress": "packbits", "nodata": -1}),
    ):
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff", width=24, height=24, count=count, dtype=dtype, crs="EPSG:32633",
                transform=from_origin(0, 0, 10, 10), **options,
            ) as written:  # fmt: skip
                written.write(np.resize(_PICTURE, (count, 24, 24)).astype(dtype))
            made.append(bytes(memory.read()))
    return made


def _cql2_text(data: bytes) -> None:
    cql2.to_filter(cql2.parse_json(cql2.parse_text(_text(data))), "tile", ["red"])


def _cql2_json(data: bytes) -> None:
    cql2.to_filter(cql2.parse_json(_text(data)), "scene", ["red"])


def _body(data: bytes) -> None:
    found = _json(data)
    if isinstance(found, dict):
        for model in (SearchBody, SaveSearchBody):
            validated(model, found)


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _filters(data: bytes) -> None:
    first, _, second = _text(data).partition("\n")
    Filter.parse(bbox=first or None, datetime=second or None)
    ClassifierTerm.parse(first)


def _keys(data: bytes) -> None:
    for key in KeyFile(_file("keys.json", data)).read():
        key.is_valid(datetime.now(UTC))


def _header(data: bytes) -> None:
    key = key_in(data.decode("latin-1"))
    ring = KeyRing("a key of sixteen characters")
    if key is not None:
        ring.find(key)
    Sessions(ring).key_of(data.decode("latin-1"))
    for root in ("/data/in", "https://example.org/scenes/"):
        check_sources([_text(data)], [root])


def _labels(data: bytes) -> None:
    read_features(_file("labels.geojson", data))


def _profile(data: bytes) -> None:
    _file("profiles/own.toml", data)
    load_profiles(_FOLDER / "profiles")


def _sidecar(data: bytes) -> None:
    raster = _file("scene.tif", b"")
    sidecar_path(raster).write_bytes(data)
    read_sidecar(str(raster))


def _landsat(data: bytes) -> None:
    _file("landsat/LC08_X_MTL.txt", data)
    read_product_metadata([str(_FOLDER / "landsat" / "LC08_X_B4.TIF")])


def _dimap(data: bytes) -> None:
    _file("dimap/DIM_SPOT6_X.XML", data)
    read_product_metadata([str(_FOLDER / "dimap" / "IMG_SPOT6_X_R1C1.TIF")])


def _enmap(data: bytes) -> None:
    _file("enmap/ENMAP01-X-METADATA.XML", data)
    read_product_metadata([str(_FOLDER / "enmap" / "ENMAP01-X-SPECTRAL_IMAGE.TIF")])


_DIM, _IDS = 4, np.arange(1, 9, dtype=np.int64)


def _encoded() -> tuple[Segment, bytes]:
    vectors = np.random.default_rng(0).normal(size=(len(_IDS), _DIM)).astype(np.float16)
    segment, parts = encode_segment(_IDS, vectors)
    return segment, b"".join(parts)


def _segment(data: bytes) -> None:
    segment, _ = _encoded()
    _file(f"vectors/{segment.name}{SEGMENT}", data)
    open_segment(_FOLDER / "vectors", segment, _DIM).sound(np.arange(len(_IDS)))


def _columns(data: bytes) -> None:
    _file(f"vectors/part{COLUMNS}", data)
    load_columns(_FOLDER / "vectors" / "part", _IDS)


_BODY = {
    "q": "a lake",
    "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]},
    "semantic": {"positive": [{"text": ["a lake"]}], "negative": [{"tile": 1}]},
    "intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
    "sortby": [{"field": "datetime", "direction": "desc"}],
}
_PROFILE = b'title = "Own"\ncollection = "own"\nnodata = 0\nbands = [{ name = "R", wavelength_um = 0.66 }]\n'
_PROFILE += b'[[layouts]]\nbands = ["R"]\n[scaling.default]\nkind = "percentile"\n'
_MTL = b"GROUP = LANDSAT_METADATA_FILE\n DATE_ACQUIRED = 2020-05-01\n CLOUD_COVER = 3.0\nEND_GROUP\nEND\n"
_XML = (
    b'<?xml version="1.0"?><Dimap_Document><Raster_Data><Band_ID>B0</Band_ID><MIN unit="nm">450</MIN>'
    b"</Raster_Data><IMAGING_DATE>2020-05-01</IMAGING_DATE><wavelengthCenterOfBand>450</wavelengthCenterOfBand>"
    b"</Dimap_Document>"
)

_KEYS = {"name": "a", "id": "b", "hash": "c", "scopes": ["read"], "created": "2020-01-01T00:00:00+00:00"}
_LABEL = {"type": "Feature", "geometry": None, "properties": {"class": "pond"}}

TARGETS = {
    "png": Target(_image, lambda: _pillow("PNG")),
    "jpeg": Target(_image, lambda: _pillow("JPEG")),
    "tiff": Target(_image, _tiffs),
    "tiff-bands": Target(_wide_image, _tiffs),
    "tile-mark": Target(read_mark, lambda: _pillow("PNG")),
    "cql2-text": Target(_cql2_text, lambda: [b"\"eo:cloud_cover\" < 10 AND collection = 'red'", b"NOT (a IN (1, 2))"]),
    "cql2-json": Target(_cql2_json, lambda: [json.dumps(_BODY["filter"]).encode(), b'{"op":"and","args":[true]}']),
    "body": Target(_body, lambda: [json.dumps(_BODY).encode(), b'{"limit": 3, "bbox": [1, 2, 3, 4]}']),
    "filters": Target(_filters, lambda: [b"1,2,3,4\n2020-01-01/..", b"ponds/pond@1 > 0.5\n2020"]),
    "keys": Target(_keys, lambda: [json.dumps({"version": 1, "keys": [_KEYS]}).encode()]),
    "headers": Target(
        _header, lambda: [b"Bearer bandsight_a_b", b"Basic YTpi", b"server.99999999999.abc", b"/data/in/*"]
    ),
    "labels": Target(_labels, lambda: [json.dumps({"type": "FeatureCollection", "features": [_LABEL]}).encode()]),
    "profile": Target(_profile, lambda: [_PROFILE]),
    "sidecar": Target(_sidecar, lambda: [b'{"crs": "EPSG:32616", "bounds": [1, 2, 3, 4], "wavelengths_um": [0.5]}']),
    "landsat": Target(_landsat, lambda: [_MTL, b'{"LANDSAT_METADATA_FILE": {"DATE_ACQUIRED": "2020-05-01"}}']),
    "dimap": Target(_dimap, lambda: [_XML]),
    "enmap": Target(_enmap, lambda: [_XML]),
    "segment": Target(_segment, lambda: [_encoded()[1], struct.pack("<8s", b"x")]),
    "columns": Target(_columns, lambda: [b"", bytes(256)]),
}
"""All targets by name."""
