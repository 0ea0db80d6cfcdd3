"""What the archive holds, summed up once a generation: coverage, tiles by sensor and month, model, measured recall."""

import threading
from collections import Counter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from bandsight.attributes.datetimes import rfc3339
from bandsight.attributes.item_ids import scene_item_id
from bandsight.catalog.records import Scene
from bandsight.geo.box import around
from search_api.examples import examples
from search_api.problem_schema import problems
from search_api.service import Service
from search_api.stac.url_params import reject_unknown_params

router = APIRouter(tags=["The archive"], dependencies=[Depends(reject_unknown_params)])
# Footprints of scenes in one answer; beyond it every n-th is shown.
_MOST_FOOTPRINTS = 5000
_CLOUD = "eo:cloud_cover"


class Overviews:
    """Remembers the overview until the archive has moved on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[int, bytes] | None = None

    def of(self, service: Service) -> bytes:
        """Return the overview as JSON."""
        service.archive.refresh()
        with self._lock:
            generation = service.archive.generation
            if self._made is None or self._made[0] != generation:
                self._made = generation, orjson.dumps(_summed_up(service))
            return self._made[1]


def _overviews(request: Request) -> Overviews:
    found: Overviews = request.app.state.overviews
    return found


@router.get("/overview", responses=problems(400), summary="What the archive holds")
def overview(request: Request, overviews: Annotated[Overviews, Depends(_overviews)]) -> Response:
    """Return coverage, counts, model, the index's measured recall, and sentences that this archive can answer."""
    return Response(overviews.of(request.app.state.service), media_type="application/json")


def _summed_up(service: Service) -> dict[str, Any]:
    archive = service.archive
    scenes, counts = archive.scenes(), archive.tiles_per_scene()
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
        "failures": len(archive.failures()),
        "bbox": None if box is None else [box.west, box.south, box.east, box.north],
        "collections": _held(scenes, counts, "collection"),
        "sensors": _held(scenes, counts, "sensor"),
        "months": [
            {"sensor": sensor, "month": month, "tiles": tiles}
            for (sensor, month), tiles in sorted(months.items(), key=lambda row: (row[0][0], row[0][1] or ""))
        ],
        "has_cloud_cover": any(_CLOUD in scene.properties for scene in scenes),
        "coverage": _coverage(scenes, counts),
        "coverage_complete": len(scenes) <= _MOST_FOOTPRINTS,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": archive.index_figures,
        "examples": examples(archive, service.encoder),
    }


def _held(scenes: list[Scene], counts: dict[int, int], by: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for scene in scenes:
        name = getattr(scene, by)
        row = rows.setdefault(name, {"id": name, "tiles": 0, "scenes": 0, "sensors": set()})
        row["tiles"] += counts.get(scene.id, 0)
        row["scenes"] += 1
        row["sensors"].add(scene.sensor)
    return [{**row, "sensors": sorted(row["sensors"])} for _, row in sorted(rows.items())]


def _coverage(scenes: list[Scene], counts: dict[int, int]) -> dict[str, Any]:
    step = -(-len(scenes) // _MOST_FOOTPRINTS) or 1
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
