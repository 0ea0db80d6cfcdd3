"""Applies a classifier to the whole archive, and exports layers of tiles, polygons and rasters."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Classifier, Head
from bandsight.errors import QueryError
from bandsight.search.classifiers import ClassifierTerm, scorer_of

# Cells of the shared grid: CRS, pixel size, tile size and scale, then column and row. A + or - after an index marks a
# window moved to the edge of its scene; it represents the cell that the scene covers partly.
_CELL = re.compile(
    r"(?P<grid>(?P<crs>EPSG:\d+)/(?P<pixel>[0-9.e+-]+)/(?P<px>\d+)x(?P<scale>\d+))/(?P<x>-?\d+)[+-]?_(?P<y>-?\d+)[+-]?"
)
# Catalog rows in memory at a time.
_PART = 5000
MAX_RASTER_SIDE = 20_000
_NO_TILE = 255


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """The probability of each tile, from a classifier."""

    classifier: Classifier
    """The classifier."""
    head: Head
    """Head of the layer's class."""
    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    probabilities: NDArray[np.float32]
    """Probability of each tile, shape (n,)."""
    generation: int
    """The commit that was scored."""

    def above(self, threshold: float) -> NDArray[np.intp]:
        """Return the positions of the tiles that reach a threshold, most probable first."""
        chosen = np.flatnonzero(self.probabilities >= np.float32(threshold))
        return np.asarray(chosen[np.argsort(-self.probabilities[chosen], kind="stable")], np.intp)


def apply_classifier(archive: Archive, term: ClassifierTerm, where: Filter | None = None) -> Layer:
    """Score all tiles that match a filter, with an exact scan of the vectors.

    Raises:
        NotFoundError: The classifier does not exist.
        QueryError: The classifier or the filter cannot be used.
    """
    classifier, head = term.resolve(archive)
    scorer = scorer_of(head)
    archive.refresh()
    generation = archive.generation
    found = archive.similarities(scorer.directions, where or Filter())
    return Layer(
        classifier=classifier,
        head=head,
        ids=found.selection.ids,
        probabilities=scorer.combine(found.scores),
        generation=generation,
    )


def tile_features(archive: Archive, layer: Layer, threshold: float) -> Iterator[dict[str, Any]]:
    """Yield the tiles that reach a threshold as GeoJSON features, most probable first."""
    chosen = layer.above(threshold)
    for start in range(0, len(chosen), _PART):
        at = chosen[start : start + _PART]
        tiles = archive.tiles_by_id(layer.ids[at].tolist())
        scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
        for one in at.tolist():
            tile = tiles.get(int(layer.ids[one]))
            if tile is None:
                continue
            scene = scenes[tile.scene_id]
            yield {
                "type": "Feature",
                "id": tile.id,
                "geometry": dict(tile.geometry),
                "properties": {
                    "class": layer.head.cls,
                    "probability": round(float(layer.probabilities[one]), 4),
                    "scene": scene.name,
                    "collection": scene.collection,
                    "datetime": None if scene.datetime is None else rfc3339(scene.datetime),
                    "cell": tile.cell,
                },
            }


def polygons(archive: Archive, layer: Layer, threshold: float) -> dict[str, Any]:
    """Return the tiles that reach a threshold as a FeatureCollection of dissolved polygons."""
    chosen = layer.above(threshold)
    grounds = archive.footprints(layer.ids[chosen].tolist()) if len(chosen) else np.empty(0, object)
    merged = shapely.get_parts(shapely.union_all(grounds)) if len(grounds) else np.empty(0, object)
    which, tile = shapely.STRtree(merged).query(shapely.point_on_surface(grounds), predicate="intersects")[::-1]
    values = layer.probabilities[chosen]
    features = []
    for number, shape in enumerate(merged):
        own = values[tile[which == number]]
        features.append(
            {
                "type": "Feature",
                "geometry": shapely.geometry.mapping(shape),
                "properties": {
                    "class": layer.head.cls,
                    "tiles": len(own),
                    "probability": round(float(own.mean()), 4) if len(own) else None,
                    "greatest_probability": round(float(own.max()), 4) if len(own) else None,
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


def write_rasters(archive: Archive, layer: Layer, folder: Path) -> list[Path]:
    """Write a raster for each tile grid and return the paths: COGs with one pixel per cell, 8-bit percent.

    If a cell has several dates, the highest probability is used. Tiles of scenes with their own grid and overlapping
    tiles are not on a shared grid; they are only in the tile and polygon files.

    Raises:
        QueryError: A grid is too large for a raster.
    """
    cells: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    sizes: dict[str, tuple[str, float]] = {}
    for start in range(0, len(layer.ids), _PART):
        ids = layer.ids[start : start + _PART].tolist()
        tiles = archive.tiles_by_id(ids)
        for one, value in zip(ids, layer.probabilities[start : start + _PART].tolist(), strict=True):
            found = _CELL.fullmatch(tiles[one].cell) if one in tiles else None
            if found is not None:
                side = float(found["pixel"]) * int(found["px"]) * int(found["scale"])
                sizes[found["grid"]] = (found["crs"], side)
                cells[found["grid"]].append((int(found["x"]), int(found["y"]), value))
    paths = []
    for grid, rows in sorted(cells.items()):
        path = folder / f"{grid.replace('/', '_').replace(':', '')}.tif"
        _write_raster(path, layer, rows, *sizes[grid])
        paths.append(path)
    return paths


def _write_raster(path: Path, layer: Layer, rows: list[tuple[int, int, float]], crs: str, side: float) -> None:
    import rasterio
    from rasterio.transform import from_origin

    x, y = (np.array([row[at] for row in rows], np.int64) for at in range(2))
    width, height = int(x.max() - x.min()) + 1, int(y.max() - y.min()) + 1
    if max(width, height) > MAX_RASTER_SIDE:
        raise QueryError(
            f"{path.name}: the tiles of this grid span {width} × {height} cells, more than {MAX_RASTER_SIDE}; "
            "pass --bbox"
        )
    values = np.full((height, width), -1.0, np.float32)
    np.maximum.at(values, (y - y.min(), x - x.min()), np.array([row[2] for row in rows], np.float32))
    percent = np.where(values < 0, _NO_TILE, np.rint(100 * np.clip(values, 0, 1))).astype(np.uint8)
    known = percent[percent != _NO_TILE]
    options = {"driver": "COG", "dtype": "uint8", "count": 1, "nodata": _NO_TILE, "compress": "DEFLATE"}
    transform = from_origin(float(x.min()) * side, -float(y.min()) * side, side, side)
    with rasterio.open(path, "w", width=width, height=height, crs=crs, transform=transform, **options) as made:
        made.write(percent, 1)
        made.write_colormap(1, color_table())
        made.set_band_description(1, f"probability of {layer.head.cls}, percent")
        made.update_tags(classifier=layer.classifier.name, version=str(layer.classifier.version))
        made.update_tags(
            1,
            STATISTICS_MINIMUM=str(known.min()),
            STATISTICS_MAXIMUM=str(known.max()),
            STATISTICS_MEAN=f"{known.mean():.4f}",
            STATISTICS_STDDEV=f"{known.std():.4f}",
        )


def color_table() -> dict[int, tuple[int, int, int, int]]:
    """Return the colour of each percentage: transparent at 0, then from blue through yellow to red."""
    stops = np.array([[49, 54, 149], [116, 173, 209], [255, 255, 191], [253, 174, 97], [165, 0, 38]], np.float64)
    at = np.linspace(0, 4, 101)
    table = {
        percent: (
            *(int(np.interp(at[percent], range(5), stops[:, channel])) for channel in range(3)),
            int(min(255, 2.55 * percent * 1.25)),
        )
        for percent in range(101)
    }
    return {**table, **dict.fromkeys(range(101, 256), (0, 0, 0, 0))}  # type: ignore[dict-item]


def summary(layer: Layer, threshold: float) -> dict[str, Any]:
    """Return a summary of a layer, as JSON-serializable values."""
    return {
        "classifier": layer.classifier.name,
        "class": layer.head.cls,
        "version": layer.classifier.version,
        "calibrated": layer.head.calibrated,
        "generation": layer.generation,
        "threshold": threshold,
        "tiles": len(layer.ids),
        "above": len(layer.above(threshold)),
        "expected_share": round(float(layer.probabilities.astype(np.float64).mean()), 5) if len(layer.ids) else None,
        "histogram": np.histogram(layer.probabilities, bins=10, range=(0, 1))[0].tolist(),
    }


def compare(archive: Archive, term: ClassifierTerm, before: int, threshold: float) -> dict[str, Any]:
    """Return how two versions of a classifier differ over the archive.

    Args:
        archive: The archive.
        term: The classifier with its later version.
        before: The earlier version.
        threshold: Minimum probability for a tile to count as the class.

    Raises:
        NotFoundError: A version does not exist.
    """
    later = apply_classifier(archive, term)
    earlier_term = ClassifierTerm(name=term.name, cls=later.head.cls, version=before)
    earlier = apply_classifier(archive, earlier_term, Filter(up_to=int(later.ids[-1])) if len(later.ids) else None)
    shared, mine, theirs = np.intersect1d(later.ids, earlier.ids, assume_unique=True, return_indices=True)
    now = later.probabilities[mine] >= np.float32(threshold)
    then = earlier.probabilities[theirs] >= np.float32(threshold)
    return {
        "classifier": later.classifier.name,
        "class": later.head.cls,
        "versions": [before, later.classifier.version],
        "threshold": threshold,
        "tiles": len(shared),
        "both": int((now & then).sum()),
        "gained": shared[now & ~then].tolist(),
        "lost": shared[then & ~now].tolist(),
    }


def write_layer(archive: Archive, layer: Layer, folder: Path, threshold: float) -> dict[str, Any]:
    """Write all files of a layer into a folder and return its summary with their names.

    Writes `tiles.geojson` and, if PyArrow is installed, `tiles.parquet` (GeoParquet); `polygons.geojson`; a raster for
    each tile grid; and `layer.json` with the summary.

    Raises:
        BandsightError: The folder cannot be written.
    """
    from bandsight.export.files import save

    folder.mkdir(parents=True, exist_ok=True)
    files = [save(folder / "tiles.geojson", feature_collection(tile_features(archive, layer, threshold)))]
    if (table := _geoparquet(archive, layer, threshold, folder / "tiles.parquet")) is not None:
        files.append(table)
    files.append(save(folder / "polygons.geojson", [orjson.dumps(polygons(archive, layer, threshold))]))
    files += write_rasters(archive, layer, folder)
    made = {**summary(layer, threshold), "files": [path.name for path in files]}
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
            if len(part) >= _PART:
                flush()
        flush()
    return path
