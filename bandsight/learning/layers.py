"""Applies a classifier to the whole archive: a layer of tiles with probabilities, polygons, and comparisons."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.columns import NO_TIME
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Classifier, Head
from bandsight.geo.box import LonLatBox
from bandsight.maps.rasterize import TileBoxes
from bandsight.progress import counted
from bandsight.search.classifiers import ClassifierTerm, scorer_of

# Catalog rows in memory at a time.
PART = 5000


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
    box: LonLatBox | None = None
    """Box around all scored tiles, or None if there are none."""
    period: tuple[datetime | None, datetime | None] = (None, None)
    """First and last acquisition time of the scored tiles, or None if unknown."""

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
        box=TileBoxes.of(found.boxes).box,
        period=_period(found.selection.scenes.times_us[found.selection.scene_at]),
    )


def _period(times_us: NDArray[np.int64]) -> tuple[datetime | None, datetime | None]:
    known = times_us[times_us != NO_TIME]
    if not len(known):
        return None, None
    start, end = (
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(one)) for one in np.sort(known)[[0, -1]]
    )
    return start, end


def tile_features(archive: Archive, layer: Layer, threshold: float) -> Iterator[dict[str, Any]]:
    """Yield the tiles that reach a threshold as GeoJSON features, most probable first."""
    chosen = layer.above(threshold)
    for start in counted(range(0, len(chosen), PART), -(-len(chosen) // PART)):
        at = chosen[start : start + PART]
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
