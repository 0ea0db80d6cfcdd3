"""The timeline of a place: all tiles that cover it, by date, with their scores for a query."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.change.requests import TimelineBody
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.search.question import question_of
from bandsight.search.scorers import scores_of
from bandsight.search.searcher import Searcher

_MOST = 10_000


def timeline(searcher: Searcher, body: TimelineBody) -> dict[str, Any]:
    """Return the tiles at a place by date, as JSON-serializable values. Tiles without a date come last.

    Each has its scene, date, cloudy fraction, ground sample distance and scale, the score if there is a query, and its
    similarity (cosine) to the previous date of the same sensor and scale.

    Raises:
        QueryError: No tile covers the place, or the query is invalid.
    """
    archive = searcher.archive
    here = Area.from_box(LonLatBox(west=body.lon, south=body.lat, east=body.lon, north=body.lat))
    ids = archive.tile_ids(Filter(area=here)).tolist()
    if not ids:
        raise QueryError(f"lon, lat: no tile in this archive covers {body.lon:g},{body.lat:g}; choose a covered place")
    if len(ids) > _MOST:
        raise QueryError(f"lon, lat: {len(ids):,} tiles cover this place; at most {_MOST:,} are shown")
    tiles = archive.tiles_by_id(ids)
    scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
    question = question_of(searcher, body.q, None)
    vectors = dict(zip(ids, archive.vectors(ids), strict=True))
    scores: dict[int, float] = {}
    if question is not None:
        values = scores_of(question.scorer, np.stack([vectors[one] for one in ids]))
        scores = dict(zip(ids, values.tolist(), strict=True))
    latest = datetime.max.replace(tzinfo=UTC)
    ordered = sorted(tiles.values(), key=lambda tile: (scenes[tile.scene_id].datetime or latest, tile.id))
    previous: dict[tuple[str, int], int] = {}
    rows = []
    for tile in ordered:
        scene = scenes[tile.scene_id]
        kind = (scene.sensor, tile.scale)
        row: dict[str, Any] = {
            "tile": tile.id,
            "datetime": None if scene.datetime is None else rfc3339(scene.datetime),
            "scene": scene.name,
            "collection": scene.collection,
            "sensor": scene.sensor,
            "gsd_m": scene.gsd_m,
            "scale": tile.scale,
            "cloud_fraction": tile.cloud_fraction,
        }
        if question is not None:
            row["score"] = round(scores[tile.id], 6)
        if kind in previous:
            row["likeness"] = round(float(vectors[tile.id] @ vectors[previous[kind]]), 6)
        previous[kind] = tile.id
        rows.append(row)
    return {"lon": body.lon, "lat": body.lat, "dates": rows}
