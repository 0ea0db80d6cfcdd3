"""Routes for zero-shot classification of tiles or an image, and class maps."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from bandsight.errors import QueryError
from bandsight.maps.classes import class_map, classify
from bandsight.maps.request import ClassifyBody, ClassMapBody
from bandsight.stac.media_types import GEOJSON, GEOTIFF, JSON
from search_api.dependencies import reject_unknown_params
from search_api.maps.answers import FILE, PNG
from search_api.problem_schema import problems
from search_api.request_bodies import body_of, openapi_body
from search_api.responses import json_response
from search_api.service import Service
from search_api.stac import schemas

router = APIRouter(tags=["Classes"], dependencies=[Depends(reject_unknown_params)])
_ANSWER: dict[str, Any] = {"type": "object", "required": ["labels", "model", "generation"]}
_MAP: dict[str, Any] = {"type": "object", "required": ["type", "features", "shares", "colors"]}


def _take_picture(values: dict[str, Any], pictures: list[dict[str, Any]]) -> None:
    """Add the image of a form to the body.

    Raises:
        QueryError: There are several images, or the body already has one.
    """
    if len(pictures) > 1 or "image" in values:
        raise QueryError(f"image: found {len(pictures) + ('image' in values)}; need one")
    values["image"] = pictures[0]


@router.post(
    "/classify",
    responses=schemas.success(JSON, _ANSWER) | problems(400, 404, 413, 415, 422, 503),
    summary="Zero-shot classes",
    openapi_extra=openapi_body(ClassifyBody),
)
def classify_tiles(
    request: Request, body: Annotated[ClassifyBody, Depends(body_of(ClassifyBody, _take_picture))]
) -> Response:
    """Return the best label for tiles or an image, with an independent probability for each label."""
    service: Service = request.app.state.service
    return json_response(classify(service.searcher, body))


@router.post(
    "/classify/map",
    responses={
        200: {"description": "The map", "content": {GEOJSON: {"schema": _MAP}, PNG: FILE, GEOTIFF: FILE}},
        **problems(400, 404, 413, 415),
    },
    summary="Map of classes",
)
def map_classes(request: Request, body: ClassMapBody) -> Response:
    """Return the best label for every tile of an area or scene, as footprints, an image or a GeoTIFF."""
    service: Service = request.app.state.service
    made = class_map(service.searcher, body)
    if isinstance(made, bytes):
        return Response(made, media_type=GEOTIFF if body.format == "tif" else PNG)
    return json_response(made, GEOJSON)
