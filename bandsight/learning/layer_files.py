"""Writes the files of a layer: tiles, polygons, rasters, and a STAC collection that describes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import shapely

from bandsight.archive import Archive
from bandsight.learning.layer_rasters import write_rasters
from bandsight.learning.layer_stac import stac_documents
from bandsight.learning.layers import PART, Layer, polygons, summary, tile_features
from bandsight.progress import phase, report


def write_layer(
    archive: Archive, layer: Layer, folder: Path, threshold: float, *, cells: bool = False
) -> dict[str, Any]:
    """Write all files of a layer into a folder and return its summary with their names.

    Writes `tiles.geojson` and, if PyArrow is installed, `tiles.parquet` (GeoParquet); `polygons.geojson`; a raster for
    each tile grid; `layer.json` with the summary; and `collection.json`, a STAC collection with an item per raster.

    Args:
        archive: The archive.
        layer: The layer.
        folder: The folder; created if missing.
        threshold: Minimum probability of tiles and polygons.
        cells: Also write rasters of the cells of tiles; see `write_rasters`.

    Raises:
        QueryError: A grid is too large for a raster, or no tile has cells.
        BandsightError: The folder cannot be written.
    """
    from bandsight.export.files import save

    folder.mkdir(parents=True, exist_ok=True)
    with phase(0.1, 0.4):
        files = [save(folder / "tiles.geojson", feature_collection(tile_features(archive, layer, threshold)))]
    with phase(0.4, 0.6):
        table = _geoparquet(archive, layer, threshold, folder / "tiles.parquet")
    if table is not None:
        files.append(table)
    files.append(save(folder / "polygons.geojson", [orjson.dumps(polygons(archive, layer, threshold))]))
    rasters = write_rasters(archive, layer, folder)
    rasters += write_rasters(archive, layer, folder, cells=True) if cells else []
    report(1.0)
    made = summary(layer, threshold)
    documents = stac_documents(archive, layer, made, files, rasters)
    files += rasters
    for name, document in documents.items():
        files.append(save(folder / name, [orjson.dumps(document, option=orjson.OPT_INDENT_2)]))
    made = {**made, "files": [path.name for path in files]}
    save(folder / "layer.json", [orjson.dumps(made, option=orjson.OPT_INDENT_2)])
    return made


def feature_collection(features: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """Yield a FeatureCollection in chunks."""
    yield b'{"type":"FeatureCollection","features":['
    for number, feature in enumerate(features):
        yield (b"," if number else b"") + orjson.dumps(feature)
    yield b"]}"


def _geoparquet(archive: Archive, layer: Layer, threshold: float, path: Path) -> Path | None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return None
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
    }
    names = ("class", "scene", "collection", "datetime", "cell")
    schema = pa.schema(
        [("geometry", pa.binary()), ("id", pa.int64()), ("probability", pa.float64())]
        + [(name, pa.string()) for name in names],
        metadata={"geo": orjson.dumps(geo)},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        part: list[dict[str, Any]] = []

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            part.clear()

        for feature in tile_features(archive, layer, threshold):
            geometry = shapely.to_wkb(shapely.geometry.shape(feature["geometry"]))
            part.append({**feature["properties"], "geometry": geometry, "id": feature["id"]})
            if len(part) >= PART:
                flush()
        flush()
    return path
