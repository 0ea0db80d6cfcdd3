"""The atlas as GeoParquet that Apple's embedding-atlas opens: x, y and a text for each tile, and its nearest."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import shapely

from bandsight.archive import Archive
from bandsight.atlas.atlas import Atlas
from bandsight.atlas.clusters import NO_CLUSTER
from bandsight.attributes.fields import rfc3339
from bandsight.errors import needs_extra

# Rows of the catalog in memory at a time.
_PART = 5000
COMMAND = "embedding-atlas {path} --x x --y y --text text"
"""What opens the file."""


def write_parquet(archive: Archive, atlas: Atlas, path: Path) -> int:
    """Write the atlas to a file and return how many tiles it has.

    Columns: `id`, `x`, `y`, `text` (what a person reads of a tile), `cluster`, `likeness` (cosine with the nearest of
    the sample), `sensor`, `collection`, `scene`, `datetime`, `gsd_m`, `cloud_fraction`, `lon`, `lat`, `geometry` (WKB).

    Raises:
        MissingExtraError: PyArrow is not installed.
    """
    with needs_extra("geoparquet", "exporting the atlas"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
    }
    floats = ("x", "y", "likeness", "gsd_m", "cloud_fraction", "lon", "lat")
    texts = ("text", "cluster", "sensor", "collection", "scene")
    schema = pa.schema(
        [("id", pa.int64())]
        + [(name, pa.float64()) for name in floats]
        + [(name, pa.string()) for name in texts]
        + [("datetime", pa.timestamp("us", tz="UTC")), ("geometry", pa.binary())],
        metadata={"geo": orjson.dumps(geo)},
    )
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _rows(archive, atlas):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _rows(archive: Archive, atlas: Atlas) -> Iterator[list[dict[str, object]]]:
    names = [*(one.name for one in atlas.clusters), None]
    cluster = atlas.cluster
    for start in range(0, len(atlas.ids), _PART):
        ids = atlas.ids[start : start + _PART].tolist()
        tiles = archive.tiles_by_id(ids)
        scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
        rows: list[dict[str, object]] = []
        for at, one in enumerate(ids, start):
            tile = tiles.get(one)
            if tile is None or tile.scene_id not in scenes:
                continue
            scene, shape = scenes[tile.scene_id], shapely.geometry.shape(tile.geometry)
            middle = shapely.point_on_surface(shape)
            name = names[int(cluster[at])] if cluster[at] != NO_CLUSTER else None
            when = "no date" if scene.datetime is None else rfc3339(scene.datetime)
            rows.append(
                {
                    "id": one,
                    "x": float(atlas.points[at, 0]),
                    "y": float(atlas.points[at, 1]),
                    "likeness": float(np.round(atlas.cosines[at, 0], 4)),
                    "gsd_m": scene.gsd_m,
                    "cloud_fraction": tile.cloud_fraction,
                    "lon": middle.x,
                    "lat": middle.y,
                    "text": f"{name or 'no cluster'} · {scene.name} · {when} · tile {one}",
                    "cluster": name,
                    "sensor": scene.sensor,
                    "collection": scene.collection,
                    "scene": scene.name,
                    "datetime": scene.datetime,
                    "geometry": shapely.to_wkb(shape),
                }
            )
        yield rows
