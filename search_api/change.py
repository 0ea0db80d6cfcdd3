"""Routes for change search and timelines."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from bandsight.change.requests import ChangeBody, TimelineBody
from bandsight.change.search import change_search
from bandsight.change.timeline import timeline
from bandsight.stac.media_types import GEOJSON, JSON
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.stac import schemas

router = APIRouter(tags=["Change"], dependencies=[Depends(reject_unknown_params)])
_CHANGES: dict[str, Any] = {"type": "object", "required": ["type", "features", "places", "compared", "changed"]}
_TIMELINE: dict[str, Any] = {"type": "object", "required": ["lon", "lat", "dates"]}


@router.post(
    "/change",
    responses=schemas.success(GEOJSON, _CHANGES) | problems(400, 404, 413, 415, 503),
    summary="Find changes between two periods",
)
def changes(service: ServiceDep, body: ChangeBody) -> Response:
    """Return the places that changed most, compared with the usual difference between two dates."""
    return json_response(change_search(service.searcher, body), GEOJSON)


@router.get("/timeline", responses=schemas.success(JSON, _TIMELINE) | problems(400, 404), summary="Timeline of a place")
def dates(
    service: ServiceDep,
    lon: Annotated[float, Query(ge=-180, le=180, description="Longitude in degrees")],
    lat: Annotated[float, Query(ge=-90, le=90, description="Latitude in degrees")],
    q: Annotated[
        str | None,
        Query(min_length=1, max_length=1000, description="Sentence, or classifier:NAME, to score each date with"),
    ] = None,
) -> Response:
    """Return the tiles that cover a place in order of date, each with its score for a sentence."""
    return json_response(timeline(service.searcher, TimelineBody(lon=lon, lat=lat, q=q)))
