"""The routes: parse, ask, answer."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, File, Form, Path, Query, Request, Response, UploadFile

from bandsight import __version__
from bandsight.answers import feature, feature_collection
from bandsight.ask import Answer, by_image, by_tile
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.filters import Filter
from bandsight.labels import check_labels, classify_tiles
from bandsight.query_image import decode_query_image
from search_api.body_limit import too_large
from search_api.documented import problems
from search_api.schemas import MAX_ID, MAX_LIST, ClassifyBody
from search_api.service import Service
from search_api.stac.root import GEOJSON

router = APIRouter()
_ERRORS = problems(400, 404, 413, 415, 422)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]
Limit = Annotated[int, Query(ge=1, description="How many hits")]
Bbox = Annotated[str | None, Query(description="west,south,east,north", examples=["12.5,51.5,14.5,52.5"])]
When = Annotated[str | None, Query(description="Day, instant or interval", examples=["2017-01-01/2017-12-31"])]
Names = Annotated[str | None, Query(description="Names, separated by commas", max_length=10_000)]


@router.post("/search/image", responses=_ERRORS, summary="Search by a picture")
def search_by_image(
    service: ServiceDep,
    image: Annotated[UploadFile, File(description="PNG, JPEG or GeoTIFF")],
    wavelengths: Annotated[
        str | None, Form(description="µm, separated by commas; for a GeoTIFF of other bands")
    ] = None,
    bbox: Annotated[str | None, Form()] = None,
    datetime: Annotated[str | None, Form()] = None,
    collections: Annotated[str | None, Form()] = None,
    sensors: Annotated[str | None, Form()] = None,
    limit: Annotated[int, Form(ge=1)] = 10,
) -> Response:
    """Rank tiles by likeness to an uploaded picture; the answer is a GeoJSON FeatureCollection."""
    data = image.file.read(service.settings.max_upload_bytes + 1)
    if len(data) > service.settings.max_upload_bytes:
        raise too_large(service.settings.max_upload_bytes)
    with service.decoding:
        pixels, waves = decode_query_image(data, _numbers(wavelengths), max_pixels=service.settings.max_pixels)
    wanted = Filter.parse(bbox=bbox, datetime=datetime, collections=_names(collections), sensors=_names(sensors))
    return _answer(service, by_image(service.archive, service.encoder, pixels, waves, _limit(service, limit), wanted))


@router.get("/tiles/{tile_id}", responses=_ERRORS, summary="One tile")
def tile(service: ServiceDep, tile_id: TileId) -> Response:
    """Return a tile as a GeoJSON Feature."""
    found = service.archive.tile(tile_id)
    scene = service.archive.scene(found.scene_id)
    answer = feature(Hit(tile=found, scene=scene, score=1.0, rank=1))
    for name in ("rank", "score", "probability", "match"):
        del answer["properties"][name]
    answer["links"] = _links(tile_id)
    return _json(answer)


@router.get("/tiles/{tile_id}/similar", responses=_ERRORS, summary="Tiles that look like one")
def similar(
    service: ServiceDep,
    tile_id: TileId,
    bbox: Bbox = None,
    datetime: When = None,
    collections: Names = None,
    sensors: Names = None,
    limit: Limit = 10,
) -> Response:
    """Rank tiles by likeness to a tile, itself left out."""
    wanted = Filter.parse(bbox=bbox, datetime=datetime, collections=_names(collections), sensors=_names(sensors))
    return _answer(service, by_tile(service.archive, tile_id, _limit(service, limit), wanted))


@router.post("/classify", responses=_ERRORS, summary="Zero-shot classes")
def classify(service: ServiceDep, body: Annotated[ClassifyBody, Body()]) -> dict[str, Any]:
    """Give tiles the label they fit best, with a probability for each label on its own."""
    names = check_labels([label.strip() for label in body.labels])
    rows = classify_tiles(service.archive, service.encoder, names, body.to_filter())
    return {"labels": names, "matched": len(rows), "tiles": rows[: _limit(service, body.limit)]}


@router.get("/version", summary="Versions, model and licence")
def version(service: ServiceDep) -> dict[str, Any]:
    """Say which program, archive generation and model answer here."""
    model = service.archive.model
    return {
        "bandsight": __version__,
        "generation": service.archive.generation,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": service.archive.index_figures,
    }


def _answer(service: Service, answer: Answer) -> Response:
    found = feature_collection(answer, model=service.archive.model, generation=service.archive.generation)
    for item in found["features"]:
        item["links"] = _links(item["properties"]["tile_id"])
    return _json(found)


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), media_type=GEOJSON)


def _links(tile_id: int) -> list[dict[str, str]]:
    return [
        {"rel": "self", "type": GEOJSON, "href": f"/tiles/{tile_id}"},
        {"rel": "thumbnail", "type": "image/png", "href": f"/tiles/{tile_id}/thumbnail.png"},
        {"rel": "similar", "type": GEOJSON, "href": f"/tiles/{tile_id}/similar"},
    ]


def _limit(service: Service, limit: int) -> int:
    if limit > service.settings.max_hits:
        raise QueryError(f"limit: {limit}; at most {service.settings.max_hits} hits in one answer")
    return limit


def _names(text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if len(names) > MAX_LIST:
        raise QueryError(f"names: found {len(names)}; at most {MAX_LIST} are allowed")
    return names


def _numbers(text: str | None) -> list[float] | None:
    if not text or not text.strip():
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"wavelengths {text!r}: need numbers in µm, separated by commas") from error
