"""Routes of classification: tiles, an area, a scene or a picture against labels; the map of an area."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from bandsight.attributes.filters import Filter
from bandsight.attributes.item_ids import scene_ids
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps import pictures
from bandsight.maps.classes import ClassField, class_field, ranked
from bandsight.maps.rasterize import Canvas
from bandsight.search.items import filter_of
from bandsight.search.request import query_of_body
from bandsight.search.zero_shot import check_labels, classified, label_vectors, rounded
from bandsight.stac.documents import server_facts
from bandsight.stac.links import GEOJSON, JSON
from search_api.maps.class_bodies import ClassifyBody, ClassMapBody, take_picture
from search_api.maps.heatmap import GEOTIFF, PNG
from search_api.problem_schema import problems
from search_api.request_bodies import body_of, described
from search_api.service import Service
from search_api.stac import schemas
from search_api.stac.routes import json_answer
from search_api.stac.url_params import reject_unknown_params

router = APIRouter(tags=["Classes"], dependencies=[Depends(reject_unknown_params)])
_MOST_FEATURES = 10_000
_ANSWER: dict[str, Any] = {"type": "object", "required": ["labels", "model", "generation"]}
_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_MAP: dict[str, Any] = {"type": "object", "required": ["type", "features", "shares", "colors"]}


@router.post(
    "/classify",
    responses=schemas.of(JSON, _ANSWER) | problems(400, 404, 413, 415, 422, 503),
    summary="Zero-shot classes",
    openapi_extra=described(ClassifyBody),
)
def classify(request: Request, body: Annotated[ClassifyBody, Depends(body_of(ClassifyBody, take_picture))]) -> Response:
    """Return the likeliest label of tiles or of a picture, with a probability for each label on its own."""
    service: Service = request.app.state.service
    sentences = check_labels(body.labels)
    labels, vectors = list(sentences), label_vectors(service.encoder, sentences)
    archive = service.archive
    if body.image is not None:
        return json_answer({"labels": labels, "image": _of_picture(service, body, labels, vectors), **_facts(service)})
    field = class_field(archive, vectors, _wanted(service, body))
    shown = field.ids[: min(body.limit, service.settings.max_hits)].tolist()
    rows = classified(archive, service.encoder, labels, vectors, shown)
    for row in rows:
        chances = np.array([row["probabilities"][label] for label in labels], np.float32)
        row["ranked"] = [one["label"] for one in ranked(labels, chances, chances)]
    return json_answer(
        {"labels": labels, "matched": len(field.ids), "shares": field.shares(labels), "tiles": rows, **_facts(service)}
    )


@router.post(
    "/classify/map",
    responses={
        200: {"description": "The map", "content": {GEOJSON: {"schema": _MAP}, PNG: _FILE, GEOTIFF: _FILE}},
        **problems(400, 404, 413, 415),
    },
    summary="A map of classes",
)
def class_map(request: Request, body: ClassMapBody) -> Response:
    """Return the likeliest label of every tile of an area or scene: as footprints, as a picture, or as GeoTIFF."""
    service: Service = request.app.state.service
    sentences = check_labels(body.labels)
    labels, vectors = list(sentences), label_vectors(service.encoder, sentences)
    field = class_field(service.archive, vectors, _wanted(service, body))
    if body.format == "geojson":
        return json_answer(_features(service, field, labels, vectors), GEOJSON)
    box = field.ground.box if body.bbox is None else LonLatBox.from_sequence(body.bbox)
    if box is None:
        raise QueryError("bbox: missing, and no tile passes the filters; pass one to get an empty picture")
    canvas = Canvas.of_box(box, body.crs, body.width, body.height)
    classes = field.paint(canvas)
    if body.format == "tif":
        return Response(pictures.classes_geotiff(classes, canvas, labels), media_type=GEOTIFF)
    return Response(pictures.classes_png(classes, labels if body.legend else ()), media_type=PNG)


def _wanted(service: Service, body: ClassifyBody | ClassMapBody) -> Filter:
    wanted = filter_of(service.searcher, query_of_body(body, service.settings.max_hits))
    if body.scene is None:
        return wanted
    (scene,) = scene_ids([body.scene]) or (None,)
    if scene is None:
        raise QueryError(f"scene: found {body.scene!r}; need scene-N, the id of a scene's Item")
    service.archive.scene(scene)
    return Filter(scenes=(scene,), all_of=(wanted,))


def _of_picture(
    service: Service, body: ClassifyBody, labels: list[str], vectors: np.ndarray[Any, np.dtype[np.float32]]
) -> dict[str, Any]:
    assert body.image is not None
    vector, waves = service.searcher.embed_picture(body.image)
    chances = service.encoder.probabilities(vector[None], vectors, [waves])[0]
    order = ranked(labels, vectors @ vector, chances)
    return {"label": order[0]["label"], "probabilities": rounded(labels, chances), "ranked": order}


def _features(
    service: Service, field: ClassField, labels: list[str], vectors: np.ndarray[Any, np.dtype[np.float32]]
) -> dict[str, Any]:
    if len(field.ids) > _MOST_FEATURES:
        raise QueryError(
            f"format: {len(field.ids):,} tiles; at most {_MOST_FEATURES:,} become features, so narrow the area or ask "
            "for png or tif"
        )
    ids = field.ids.tolist()
    tiles = service.archive.tiles_by_id(ids)
    features = [
        {
            "type": "Feature",
            "id": str(row["tile_id"]),
            "geometry": tiles[row["tile_id"]].geometry,
            "properties": {
                "label": row["label"],
                "probability": row["probabilities"][row["label"]],
                "probabilities": row["probabilities"],
                "scene": row["scene"],
            },
        }
        for row in classified(service.archive, service.encoder, labels, vectors, ids)
        if row["tile_id"] in tiles
    ]
    colors = {label: "#{:02x}{:02x}{:02x}".format(*rgb[:3]) for label, rgb in _colors(labels).items()}
    return {
        "type": "FeatureCollection",
        "features": features,
        "shares": field.shares(labels),
        "colors": colors,
        **_facts(service),
    }


def _colors(labels: list[str]) -> dict[str, tuple[int, int, int, int]]:
    return dict(zip(labels, pictures.class_colors(len(labels)).values(), strict=True))


def _facts(service: Service) -> dict[str, Any]:
    return server_facts(service.archive.model, service.archive.generation)
