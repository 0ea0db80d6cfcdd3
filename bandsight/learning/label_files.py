"""Exports labels as GeoJSON, and imports them by tile or by location."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Label, LabelCollection, TilePlace
from bandsight.errors import QueryError, needs_extra

MAX_FEATURES = 200_000
"""Maximum number of features in a file."""
# A polygon labels the tiles with at least this fraction of their area inside it.
_INSIDE = 0.5
_PLACE = ("scene", "cell", "scale")
_NEEDED = "need a FeatureCollection of points or polygons in longitude and latitude, each with its class"


def as_geojson(collection: LabelCollection, labels: Sequence[Label]) -> dict[str, Any]:
    """Return labels as a FeatureCollection, with the footprint of each label's tile."""
    return {
        "type": "FeatureCollection",
        "name": collection.name,
        "bandsight:classes": dict(collection.sentences),
        "features": [
            {
                "type": "Feature",
                "id": label.id,
                "geometry": dict(label.place.geometry),
                "properties": {
                    "class": label.cls,
                    "annotator": label.annotator,
                    "created": rfc3339(label.created),
                    "tile": label.tile,
                    "scene": label.place.scene,
                    "cell": label.place.cell,
                    "scale": label.place.scale,
                    "model_digest": label.model_digest,
                },
            }
            for label in labels
        ],
    }


def read_features(path: Path) -> dict[str, Any]:
    """Return the features of a GeoJSON or GeoParquet file as a FeatureCollection.

    Raises:
        QueryError: The file cannot be read.
        MissingExtraError: PyArrow is not installed, for GeoParquet.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise QueryError(f"{path}: cannot be read ({error}); pass GeoJSON or GeoParquet") from error
    return found


def import_features(
    archive: Archive, name: str, document: Mapping[str, Any], *, class_property: str, cls: str | None, annotator: str
) -> dict[str, Any]:
    """Label the tiles at features, and return a summary.

    A feature with a tile's scene, cell and scale, as in exports, labels that tile. A point labels the tiles that cover
    it, of every date. A polygon labels the tiles that are at least half inside it, or else those that cover its centre.

    Args:
        archive: The archive.
        name: Name of the collection; missing classes are added.
        document: The features.
        class_property: Name of the property with the class.
        cls: Class of features without this property; None to reject them.
        annotator: Name for labels without the property `annotator`.

    Returns:
        `labels`: number of labelled tiles; `features`: number of features; `outside`: number of features not covered by
            any tile; `conflicting`: tiles with different classes, which are skipped.

    Raises:
        QueryError: The document is invalid.
        NotFoundError: The collection does not exist.
    """
    features = _features(document)
    classes = [_class_of(number, feature, class_property, cls) for number, feature in enumerate(features)]
    tiles = _tiles_of(archive, features)
    said: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for feature, own, found in zip(features, classes, tiles, strict=True):
        who = str(feature["properties"].get("annotator") or annotator)
        for tile in found:
            said[who][tile].add(own)
    own_classes = document.get("bandsight:classes")
    fresh = {one: "" for one in classes if one not in {"none", "skip"}}
    if isinstance(own_classes, dict):
        fresh = {one: str(own_classes.get(one, "")) for one in fresh}
    known = archive.labels.get(name).classes
    if added := {one: sentence for one, sentence in fresh.items() if one not in known}:
        archive.labels.add_classes(name, added)
    labelled, conflicting = 0, []
    for who, of_tiles in said.items():
        conflicting += [tile for tile, several in of_tiles.items() if len(several) > 1]
        chosen = {tile: next(iter(several)) for tile, several in of_tiles.items() if len(several) == 1}
        labelled += archive.labels.add(name, chosen, who) if chosen else 0
    return {
        "labels": labelled,
        "features": len(features),
        "outside": sum(not found for found in tiles),
        "conflicting": sorted(conflicting),
        "classes": dict(Counter(classes)),
    }


def _features(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document.get("features") if isinstance(document, Mapping) else None
    if not isinstance(found, list) or not found:
        raise QueryError(f"labels: found no features; {_NEEDED}")
    if len(found) > MAX_FEATURES:
        raise QueryError(
            f"labels: found {len(found):,} features; at most {MAX_FEATURES:,} are allowed, so draw a sample"
        )
    for number, feature in enumerate(found):
        if not isinstance(feature, dict) or not isinstance(feature.get("properties") or {}, dict):
            raise QueryError(f"labels: feature {number} is not a GeoJSON feature; {_NEEDED}")
    return [{**feature, "properties": feature.get("properties") or {}} for feature in found]


def _class_of(number: int, feature: Mapping[str, Any], name: str, default: str | None) -> str:
    value = feature["properties"].get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
        have = ", ".join(map(str, feature["properties"])) or "none"
        raise QueryError(
            f"labels: feature {number} has no class in property {name!r} (it has {have}); specify the property, or "
            "one class for all"
        )
    return str(value).strip()


def _tiles_of(archive: Archive, features: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the tiles of each feature."""
    places = {
        number: TilePlace(**{name: feature["properties"][name] for name in _PLACE}, geometry={})
        for number, feature in enumerate(features)
        if all(isinstance(feature["properties"].get(name), (str, int)) for name in _PLACE)
    }
    found: list[list[int]] = [[] for _ in features]
    for number, tile in zip(places, archive.labels.tiles_at(list(places.values())), strict=True):
        found[number] = [] if tile is None else [tile]
    rest = [number for number in range(len(features)) if not found[number]]
    shapes = _shapes([features[number] for number in rest])
    for number, tiles in zip(rest, _tiles_on(archive, shapes), strict=True):
        found[number] = tiles
    return found


def _shapes(features: Sequence[Mapping[str, Any]]) -> NDArray[np.object_]:
    texts = [json.dumps(feature.get("geometry")) for feature in features]
    made = shapely.from_geojson(np.array(texts, object), on_invalid="ignore") if texts else np.empty(0, object)
    shapes = np.asarray(made, object)
    types = shapely.get_type_id(shapes)
    bounds = shapely.bounds(shapes)
    with np.errstate(invalid="ignore"):
        on_earth = (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1)  # noqa: PLR2004
    usable = np.isin(types, (0, 3, 4, 6)) & on_earth
    if not usable.all():
        wrong = int(np.argmin(usable))
        raise QueryError(f"labels: found the geometry {texts[wrong][:80]}; {_NEEDED}")
    return np.asarray(shapely.make_valid(shapes), object)


def _tiles_on(archive: Archive, shapes: NDArray[np.object_]) -> list[list[int]]:
    """Return the tiles that cover each point or are at least half inside each polygon."""
    if not len(shapes):
        return []
    # A single pass over all tile boxes, because a file may have a hundred thousand features.
    nothing = np.zeros((1, archive.model.dim), np.float32)
    near = archive.similarities(nothing, Filter())
    there = np.isfinite(near.boxes[:, :, 0])
    tile, part = np.nonzero(there)
    boxes = shapely.box(*near.boxes[tile, part].T)
    which, at = shapely.STRtree(boxes).query(shapes, predicate="intersects")
    ids = near.selection.ids[tile[at]]
    pairs = np.unique(np.stack([which, ids], axis=1), axis=0)
    found: list[list[int]] = [[] for _ in shapes]
    if not len(pairs):
        return found
    unique, back = np.unique(pairs[:, 1], return_inverse=True)
    grounds = archive.footprints(unique.tolist())[back]
    own = shapes[pairs[:, 0]]
    is_area = shapely.area(own) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = shapely.area(shapely.intersection(own, grounds)) / shapely.area(grounds)
    middle = shapely.covers(grounds, shapely.point_on_surface(own))
    inside = np.where(is_area, share >= _INSIDE, middle)
    numbers, starts = np.unique(pairs[:, 0], return_index=True)
    ends = [*starts[1:].tolist(), len(pairs)]
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        kept = inside[start:end] if inside[start:end].any() else middle[start:end]
        found[number] = pairs[start:end, 1][kept].tolist()
    return found


def _read_parquet(path: Path) -> dict[str, Any]:
    with needs_extra("geoparquet", "labels in GeoParquet"):
        import pyarrow.parquet as pq
    table = pq.read_table(path)
    if "geometry" not in table.column_names:
        raise QueryError(f"{path}: found no geometry column; {_NEEDED}")
    geometries = shapely.to_geojson(shapely.from_wkb(table.column("geometry").to_pylist()))
    rows = table.drop_columns(["geometry"]).to_pylist()
    return {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": json.loads(geometry), "properties": row}
            for geometry, row in zip(geometries.tolist(), rows, strict=True)
        ],
    }
