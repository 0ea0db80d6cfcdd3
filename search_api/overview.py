"""Overview of the archive: coverage, tiles by sensor and month, model, measured recall, example queries."""

import threading
from collections import Counter
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Request, Response

from bandsight.archive import Archive, View
from bandsight.attributes.fields import rfc3339, scene_item_id
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Scene
from bandsight.geo.box import around
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.example_queries import example_queries
from search_api.problem_schema import problems
from search_api.service import Service

router = APIRouter(tags=["Archive"], dependencies=[Depends(reject_unknown_params)])
# With more scenes than this, the coverage contains every n-th footprint.
_MAX_FOOTPRINTS = 5000
_CLOUD = "eo:cloud_cover"


class OverviewCache:
    """Caches the overview of the current generation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entry: tuple[int, bytes] | None = None

    def get(self, service: Service) -> bytes:
        """Return the overview as JSON, built once per generation."""
        service.archive.refresh()
        with self._lock:
            generation = service.archive.generation
            if self._entry is None or self._entry[0] != generation:
                self._entry = generation, orjson.dumps(_summary(service))
            return self._entry[1]


def _cache(request: Request) -> OverviewCache:
    cache: OverviewCache = request.app.state.overviews
    return cache


@router.get("/overview", responses=problems(400), summary="Overview of the archive")
def overview(service: ServiceDep, cache: Annotated[OverviewCache, Depends(_cache)]) -> Response:
    """Return coverage, counts, the model, the measured recall of the index, and example queries."""
    return Response(cache.get(service), media_type="application/json")


def tiles_per_scene(archive: Archive) -> dict[int, int]:
    """Return the number of searchable tiles of each scene, by scene id."""

    def answer(view: View) -> dict[int, int]:
        found = view.select(Filter())
        counts = np.bincount(found.scene_at, minlength=len(found.scenes.ids))
        return {int(scene): int(count) for scene, count in zip(found.scenes.ids, counts, strict=True) if count}

    return archive.read(answer)


def _summary(service: Service) -> dict[str, Any]:
    archive = service.archive
    scenes, counts = archive.scenes(), tiles_per_scene(archive)
    months: Counter[tuple[str, str | None]] = Counter()
    for scene in scenes:
        month = None if scene.datetime is None else scene.datetime.strftime("%Y-%m")
        months[scene.sensor, month] += counts.get(scene.id, 0)
    box = around([box for scene in scenes for box in scene.boxes]) if scenes else None
    model = archive.model
    return {
        "generation": archive.generation,
        "tiles": sum(counts.values()),
        "scenes": len(scenes),
        "failures": len(archive.jobs.failures()),
        "bbox": None if box is None else [box.west, box.south, box.east, box.north],
        "collections": _counts_by(scenes, counts, "collection"),
        "sensors": _counts_by(scenes, counts, "sensor"),
        "months": [
            {"sensor": sensor, "month": month, "tiles": tiles}
            for (sensor, month), tiles in sorted(months.items(), key=lambda row: (row[0][0], row[0][1] or ""))
        ],
        "has_cloud_cover": any(_CLOUD in scene.properties for scene in scenes),
        "has_cells": any(scene.tiling.get("cells") for scene in scenes),
        "coverage": _coverage(scenes, counts),
        "coverage_complete": len(scenes) <= _MAX_FOOTPRINTS,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": archive.store.index_figures,
        "examples": example_queries(archive, service.searcher.encoder),
    }


def _counts_by(scenes: list[Scene], counts: dict[int, int], attribute: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for scene in scenes:
        name = getattr(scene, attribute)
        row = rows.setdefault(name, {"id": name, "tiles": 0, "scenes": 0, "sensors": set()})
        row["tiles"] += counts.get(scene.id, 0)
        row["scenes"] += 1
        row["sensors"].add(scene.sensor)
    return [{**row, "sensors": sorted(row["sensors"])} for _, row in sorted(rows.items())]


def _coverage(scenes: list[Scene], counts: dict[int, int]) -> dict[str, Any]:
    step = -(-len(scenes) // _MAX_FOOTPRINTS) or 1
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": scene_item_id(scene.id),
                "geometry": scene.geometry,
                "properties": {
                    "title": scene.name,
                    "collection": scene.collection,
                    "sensor": scene.sensor,
                    "datetime": None if scene.datetime is None else rfc3339(scene.datetime),
                    "tiles": counts.get(scene.id, 0),
                },
            }
            for scene in scenes[::step]
        ],
    }
