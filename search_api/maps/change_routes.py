"""Routes for heat maps of change: z-scores of places as map tiles, PNG and GeoTIFF."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.attributes.filters import MAX_DATETIME_CHARS
from bandsight.change.heatmap import change_map
from bandsight.change.requests import ChangeBody, ChangeMapBody
from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps.pictures import ColorMap
from bandsight.maps.rasterize import MAX_ZOOM, Canvas
from bandsight.search.items import Language
from bandsight.search.validation import validated
from bandsight.stac.media_types import GEOTIFF
from bandsight.work import stage
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.etag import cached
from search_api.maps.answers import FILE, MEDIA_TYPES, PNG, file_answer
from search_api.maps.state import MapState
from search_api.problem_schema import problems
from search_api.stac.routes import MAX_PARAM_CHARS, geometry_of, names_of

router = APIRouter(tags=["Change"], dependencies=[Depends(reject_unknown_params)])


@dataclass(kw_only=True)
class ChangeParams:
    """Query parameters of a comparison of two periods."""

    before: Annotated[str, Query(max_length=MAX_DATETIME_CHARS, description="Earlier period: start/end")]
    after: Annotated[str, Query(max_length=MAX_DATETIME_CHARS, description="Later period: start/end")]
    was: Annotated[str | None, Query(max_length=1000, description="Description of the place before")] = None
    now: Annotated[str | None, Query(max_length=1000, description="Description of the place after")] = None
    like: Annotated[
        str | None, Query(max_length=100, description="Changes like this one: a tile before and a tile after")
    ] = None
    max_cloud: Annotated[float, Query(ge=0, le=1, description="Maximum cloud share of a tile")] = 0.2
    bbox: Annotated[str | None, Query(max_length=1000, description="west,south,east,north")] = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None
    collections: Annotated[
        str | None, Query(max_length=MAX_PARAM_CHARS, description="Names of collections, separated by commas")
    ] = None
    sensors: Annotated[
        str | None, Query(max_length=MAX_PARAM_CHARS, description="Sensor profiles, separated by commas")
    ] = None
    classifiers: Annotated[
        str | None, Query(max_length=1000, description="Trained classifiers with thresholds, separated by commas")
    ] = None
    filter: Annotated[str | None, Query(description="CQL2 expression, in the language given by filter-lang")] = None
    filter_lang: Annotated[Language, Query(alias="filter-lang")] = "cql2-text"

    def body(self) -> ChangeBody:
        """Return the same as a request body.

        Raises:
            QueryError: A parameter is invalid.
        """
        box = None if self.bbox is None else LonLatBox.from_text(self.bbox)
        given = {
            **{name: getattr(self, name) for name in ("before", "after", "was", "now", "max_cloud")},
            "like": None if self.like is None else _tiles(self.like),
            "bbox": None if box is None else [box.west, box.south, box.east, box.north],
            "intersects": geometry_of(self.intersects),
            **{name: names_of(getattr(self, name), name) for name in ("collections", "sensors", "classifiers")},
            **({} if self.filter is None else {"filter": self.filter, "filter-lang": self.filter_lang}),
        }
        return validated(ChangeBody, {name: value for name, value in given.items() if value is not None})


def _tiles(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"like: found {text[:60]!r}; need two tiles, e.g. 512,9034") from error


@router.get(
    "/change/heatmap/{z}/{x}/{y}.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Heat map of change as map tiles",
)
def tile(
    request: Request,
    service: ServiceDep,
    asked: Annotated[ChangeParams, Depends()],
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
    colormap: Annotated[ColorMap, Query(description="Perceptually uniform colour map")] = "inferno",
) -> Response:
    """Return a map tile (XYZ, Web Mercator, 256 pixels) of the z-scores of changes, from transparent at 0 to 8."""
    if max(x, y) >= 2**z:
        raise QueryError(f"x, y: found {x}, {y}; at zoom {z} they are 0..{2**z - 1}")
    state: MapState = request.app.state.maps
    field = state.changes.of(service.searcher, asked.body())

    def painted() -> Response:
        with stage("render"):
            return Response(field.png(Canvas.of_tile(z, x, y), colormap), media_type=PNG)

    return cached(request, field.generation, painted, seconds=0)


@router.post(
    "/change/heatmap",
    responses={
        200: {"description": "The heat map", "content": {PNG: FILE, GEOTIFF: FILE}},
        **problems(400, 404, 413, 415, 503),
    },
    response_class=Response,
    summary="Heat map of change",
)
def heatmap_of_body(request: Request, service: ServiceDep, body: ChangeMapBody) -> Response:
    """Return the z-score of each place that both periods cover, as an image or GeoTIFF."""
    state: MapState = request.app.state.maps
    return Response(change_map(service.searcher, state.changes, body), media_type=MEDIA_TYPES[body.format])
