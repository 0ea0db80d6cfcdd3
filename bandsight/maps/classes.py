"""Zero-shot classification of the tiles of an area: labels, area fractions, and maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.fields import scene_ids
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps import pictures
from bandsight.maps.heatmap import MapExtent
from bandsight.maps.rasterize import Canvas, TileBoxes
from bandsight.maps.request import ClassifyBody, ClassMapBody
from bandsight.search.examples import Picture
from bandsight.search.items import filter_of
from bandsight.search.request import query_of_body
from bandsight.search.searcher import Searcher
from bandsight.search.zero_shot import check_labels, classified, label_vectors, number_or_none, rounded
from bandsight.stac.items import server_facts

# Labels × tiles, 4 bytes each.
_MAX_PAIRS = 20_000_000
_MAX_FEATURES = 10_000
_PLACES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassField:
    """The best label of each tile of an area."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    best: NDArray[np.intp]
    """Index of each tile's label, shape (n,)."""
    scores: NDArray[np.float32]
    """Cosine with that label, shape (n,)."""
    boxes: TileBoxes
    """The boxes of the tiles."""

    def shares(self, labels: Sequence[str]) -> dict[str, dict[str, float | int]]:
        """Return tile count and area fraction of each label; ground covered by two tiles counts twice."""
        weights = np.zeros(len(self.ids))
        np.add.at(weights, self.boxes.at, self.boxes.areas())
        total = max(float(weights.sum()), 1e-300)
        tiles = np.bincount(self.best, minlength=len(labels))
        areas = np.bincount(self.best, weights, minlength=len(labels))
        return {
            label: {"tiles": int(count), "area": round(float(area) / total, _PLACES)}
            for label, count, area in zip(labels, tiles, areas, strict=True)
        }

    def paint(self, canvas: Canvas) -> NDArray[np.uint8]:
        """Return the class of each pixel, from 1, or 0 for none; in overlaps, the highest score wins."""
        order = np.argsort(self.scores, kind="stable")
        rank = np.empty(len(order), np.float32)
        rank[order] = np.arange(len(order), dtype=np.float32)
        shown = canvas.paint(self.boxes, rank)
        seen = np.isfinite(shown)
        classes = np.zeros(shown.shape, np.uint8)
        classes[seen] = self.best[order[shown[seen].astype(np.intp)]] + 1
        return classes


def class_field(archive: Archive, vectors: NDArray[np.float32], where: Filter) -> ClassField:
    """Classify all tiles that match a filter.

    Args:
        archive: The archive.
        vectors: Vectors of the labels, shape (labels, dim).
        where: The filter.

    Raises:
        QueryError: Too many tiles match, or the filter is invalid.
    """
    archive.refresh()
    count = archive.count(where)
    if count * len(vectors) > _MAX_PAIRS:
        raise QueryError(
            f"labels: {len(vectors)} for {count:,} tiles; at most {_MAX_PAIRS:,} pairs are allowed, so choose a "
            "smaller area"
        )
    found = archive.similarities(vectors, where)
    best = found.scores.argmax(axis=0)
    scores = found.scores.max(axis=0, initial=-1.0)
    return ClassField(ids=found.selection.ids, best=best, scores=scores, boxes=TileBoxes.of(found.boxes))


def classify(searcher: Searcher, body: ClassifyBody) -> dict[str, Any]:
    """Return the best label for tiles or an image, with an independent probability for each label.

    Raises:
        QueryError: The request is invalid.
        NotFoundError: The archive does not contain the scene.
    """
    labels, vectors = _labels(searcher, body)
    archive = searcher.archive
    if body.image is not None:
        return {"labels": labels, "image": _of_picture(searcher, body.image, labels, vectors), **_facts(archive)}
    field = class_field(archive, vectors, _filter(searcher, body))
    shown = field.ids[: min(body.limit, searcher.max_hits)].tolist()
    rows = classified(archive, searcher.encoder, labels, vectors, shown)
    return {
        "labels": labels,
        "matched": len(field.ids),
        "shares": field.shares(labels),
        "tiles": rows,
        **_facts(archive),
    }


def class_map(searcher: Searcher, body: ClassMapBody) -> dict[str, Any] | bytes:
    """Return the best label of every tile of an area or scene: a FeatureCollection, or a PNG or GeoTIFF file.

    Raises:
        QueryError: The request is invalid.
        NotFoundError: The archive does not contain the scene.
    """
    labels, vectors = _labels(searcher, body)
    field = class_field(searcher.archive, vectors, _filter(searcher, body))
    if body.format == "geojson":
        return _features(searcher, field, labels, vectors)
    box = None if body.bbox is None else LonLatBox.from_sequence(body.bbox)
    extent = MapExtent(box=box, width=body.width, height=body.height, crs=body.crs)
    canvas = extent.canvas(field.boxes)
    classes = field.paint(canvas)
    if body.format == "tif":
        return pictures.classes_geotiff(classes, canvas, labels)
    return pictures.classes_png(classes, labels if body.legend else ())


def ranked(
    labels: Sequence[str], scores: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Return labels with score and probability, highest score first.

    Args:
        labels: Names of the labels.
        scores: Cosines, shape (labels,).
        probabilities: Independent probabilities, shape (labels,).
    """
    order = np.argsort(-scores, kind="stable").tolist()
    return [
        {
            "label": labels[at],
            "probability": number_or_none(probabilities[at], _PLACES),
            "score": round(float(scores[at]), _PLACES),
        }
        for at in order
    ]


def _labels(searcher: Searcher, body: ClassifyBody | ClassMapBody) -> tuple[list[str], NDArray[np.float32]]:
    sentences = check_labels(body.labels)
    return list(sentences), label_vectors(searcher.encoder, sentences)


def _filter(searcher: Searcher, body: ClassifyBody | ClassMapBody) -> Filter:
    where = filter_of(searcher, query_of_body(body, searcher.max_hits))
    if body.scene is None:
        return where
    (scene,) = scene_ids([body.scene]) or (None,)
    if scene is None:
        raise QueryError(f"scene: found {body.scene!r}; need scene-N, the item id of a scene")
    searcher.archive.scene(scene)
    return Filter(scenes=(scene,), all_of=(where,))


def _of_picture(
    searcher: Searcher, picture: Picture, labels: list[str], vectors: NDArray[np.float32]
) -> dict[str, Any]:
    vector, wavelengths = searcher.embed_picture(picture.data, picture.wavelengths)
    scores = vectors @ vector
    probabilities = searcher.encoder.probabilities.of(scores[None], vectors, [wavelengths])[0]
    order = ranked(labels, scores, probabilities)
    return {
        "label": order[0]["label"],
        "probabilities": rounded(labels, probabilities),
        "probability_reason": searcher.encoder.probabilities.reason(wavelengths),
        "ranked": order,
    }


def _features(searcher: Searcher, field: ClassField, labels: list[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    if len(field.ids) > _MAX_FEATURES:
        raise QueryError(
            f"format: found {len(field.ids):,} tiles; at most {_MAX_FEATURES:,} features are allowed, so choose a "
            "smaller "
            "area, or format png or tif"
        )
    archive, ids = searcher.archive, field.ids.tolist()
    tiles = archive.tiles_by_id(ids)
    features = [
        {
            "type": "Feature",
            "id": str(row["tile_id"]),
            "geometry": tiles[row["tile_id"]].geometry,
            "properties": {
                "label": row["label"],
                "probability": row["probabilities"][row["label"]],
                "probabilities": row["probabilities"],
                "probability_reason": row["probability_reason"],
                "scene": row["scene"],
            },
        }
        for row in classified(archive, searcher.encoder, labels, vectors, ids)
        if row["tile_id"] in tiles
    ]
    colors = zip(labels, pictures.class_colors(len(labels)).values(), strict=True)
    return {
        "type": "FeatureCollection",
        "features": features,
        "shares": field.shares(labels),
        "colors": {label: "#{:02x}{:02x}{:02x}".format(*rgb[:3]) for label, rgb in colors},
        **_facts(archive),
    }


def _facts(archive: Archive) -> dict[str, Any]:
    return server_facts(archive.model, archive.generation)
