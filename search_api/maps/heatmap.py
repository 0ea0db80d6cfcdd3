"""Routes for heat maps: scores of tiles as map tiles, PNG, GeoTIFF and legend."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps.heatmap import Heatmap, MapExtent, ScoreStyle, heatmap
from bandsight.maps.pictures import ColorMap
from bandsight.maps.rasterize import MAX_MERCATOR_LAT, MAX_SIDE, MAX_ZOOM, Canvas, Crs
from bandsight.maps.request import HeatmapBody
from bandsight.search.items import ItemQuery, cql2_filter, filter_of, item_query
from bandsight.search.question import resolve_question, terms_of
from bandsight.search.request import query_of_body
from bandsight.search.saved import request_of_saved
from bandsight.stac.media_types import GEOTIFF, JSON
from bandsight.work import stage
from search_api.dependencies import reject_unknown_params, server_url
from search_api.etag import cached
from search_api.maps.answers import FILE, MEDIA_TYPES, PNG, file_answer
from search_api.maps.state import MapState
from search_api.problem_schema import problems
from search_api.request_bodies import add_images, body_of, openapi_body
from search_api.responses import json_response
from search_api.service import Service
from search_api.settings import ApiSettings
from search_api.stac import schemas
from search_api.stac.routes import (
    CollectionsParam,
    DatetimeParam,
    FilterLangParam,
    FilterParam,
    SensorsParam,
    geometry_of,
    names_of,
)
from search_api.stac.searches import SearchesDep, SearchId

router = APIRouter(tags=["Heat maps"], dependencies=[Depends(reject_unknown_params)])
_TILEJSON: dict[str, Any] = {"type": "object", "required": ["tilejson", "tiles", "bounds", "minzoom", "maxzoom"]}
_LEGEND: dict[str, Any] = {"type": "object", "required": ["range", "percentiles", "colormap", "marks", "generation"]}


@dataclass(kw_only=True)
class QuestionParams:
    """Query parameters of maps: a text query and filters. `bbox` has a different meaning there."""

    q: Annotated[str, Query(description="Description of the place; commas separate alternatives", examples=["a lake"])]
    collections: CollectionsParam = None
    datetime: DatetimeParam = None
    intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None
    sensors: SensorsParam = None
    filter: FilterParam = None
    filter_lang: FilterLangParam = "cql2-text"

    def query(self, settings: ApiSettings) -> ItemQuery:
        """Return the filters.

        Raises:
            QueryError: A parameter is invalid.
        """
        return item_query(
            settings.max_hits,
            collections=names_of(self.collections, "collections"),
            datetime=self.datetime,
            intersects=geometry_of(self.intersects),
            sensors=names_of(self.sensors, "sensors"),
            filter=cql2_filter(self.filter, self.filter_lang),
        )


def _of_search(request: Request, searches: SearchesDep, search_id: SearchId) -> Heatmap:
    """Return the heat map of a saved search."""
    service: Service = request.app.state.service
    state: MapState = request.app.state.maps
    body = request_of_saved(searches.get(search_id))
    question = state.question(service, search_id, body)
    where = filter_of(service.searcher, query_of_body(body, service.settings.max_hits))
    return Heatmap(service.searcher, question, state.scores.of(service.archive, question, where))


def _of_url(request: Request, asked: Annotated[QuestionParams, Depends()]) -> Heatmap:
    """Return the heat map of a query in the URL."""
    service: Service = request.app.state.service
    state: MapState = request.app.state.maps
    question = resolve_question(service.searcher, terms_of(asked.q))
    where = filter_of(service.searcher, asked.query(service.settings))
    return Heatmap(service.searcher, question, state.scores.of(service.archive, question, where))


def _style(
    colormap: Annotated[ColorMap, Query(description="Perceptually uniform colour map")] = "magma",
    rescale: Annotated[
        str | None,
        Query(max_length=100, description="Scores of the first and the last colour; default: percentiles 2 and 99.9"),
    ] = None,
) -> ScoreStyle:
    return ScoreStyle.parse(colormap, rescale)


@dataclass(kw_only=True)
class ExtentParams:
    """Query parameters of the area and size of a map."""

    bbox: Annotated[
        str | None,
        Query(max_length=1000, description="west,south,east,north; default: all tiles", examples=["12.5,51.5,14,52.5"]),
    ] = None
    width: Annotated[
        int | None, Query(ge=1, le=MAX_SIDE, description="Size in pixels; by default, pixels are square")
    ] = None
    height: Annotated[
        int | None, Query(ge=1, le=MAX_SIDE, description="Size in pixels; by default, pixels are square")
    ] = None
    crs: Annotated[Crs, Query(description="CRS of the map")] = "EPSG:4326"

    def extent(self) -> MapExtent:
        """Return the extent.

        Raises:
            QueryError: The box is invalid.
        """
        box = None if self.bbox is None else LonLatBox.from_text(self.bbox)
        return MapExtent(box=box, width=self.width, height=self.height, crs=self.crs)


SearchMap = Annotated[Heatmap, Depends(_of_search)]
UrlMap = Annotated[Heatmap, Depends(_of_url)]
StyleDep = Annotated[ScoreStyle, Depends(_style)]
ExtentDep = Annotated[ExtentParams, Depends()]


def _file(request: Request, shown: Heatmap, make: Callable[[], bytes], media_type: str) -> Response:
    """Return a file, or 304 if the client already has it."""

    def painted() -> Response:
        with stage("render"):
            return Response(make(), media_type=media_type)

    return cached(request, shown.key, painted, seconds=0)


def _picture(request: Request, shown: Heatmap, canvas: Canvas, style: ScoreStyle) -> Response:
    return _file(request, shown, lambda: shown.png(canvas, style), PNG)


def _geotiff(request: Request, shown: Heatmap, params: ExtentParams) -> Response:
    canvas = params.extent().canvas(shown.field.boxes)
    return _file(request, shown, lambda: shown.geotiff(canvas), GEOTIFF)


@router.get(
    "/searches/{search_id}/heatmap/{z}/{x}/{y}.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Heat map as map tiles",
)
def tile(
    request: Request,
    shown: SearchMap,
    style: StyleDep,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
    fade: Annotated[bool, Query(description="Make lower scores more transparent")] = False,
) -> Response:
    """Return a map tile (XYZ, Web Mercator, 256 pixels) of the scores of a saved search."""
    if max(x, y) >= 2**z:
        raise QueryError(f"x, y: found {x}, {y}; at zoom {z} they are 0..{2**z - 1}")
    return _picture(request, shown, Canvas.of_tile(z, x, y), replace(style, fade=fade))


@router.get(
    "/searches/{search_id}/heatmap/tilejson.json",
    responses=schemas.success(JSON, _TILEJSON) | problems(400, 404),
    summary="TileJSON of a heat map",
)
def tilejson(request: Request, shown: SearchMap, style: StyleDep, search_id: SearchId) -> Response:  # noqa: ARG001
    """Return the URL and the extent of the map tiles."""
    box = shown.field.boxes.box
    bounds = [-180.0, -MAX_MERCATOR_LAT, 180.0, MAX_MERCATOR_LAT]
    if box is not None and box.west <= box.east:
        bounds = [box.west, box.south, box.east, box.north]
    own = f"?{request.url.query}" if request.url.query else ""
    tiles = f"{server_url(request)}/searches/{search_id}/heatmap/{{z}}/{{x}}/{{y}}.png{own}"
    made = {"tilejson": "3.0.0", "name": "heat map", "tiles": [tiles], "bounds": bounds, "scheme": "xyz"}
    return json_response({**made, "minzoom": 0, "maxzoom": MAX_ZOOM, "generation": shown.field.generation})


@router.get(
    "/searches/{search_id}/heatmap.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Heat map as an image",
)
def picture(request: Request, shown: SearchMap, style: StyleDep, params: ExtentDep) -> Response:
    """Return the scores of a saved search as an image."""
    return _picture(request, shown, params.extent().canvas(shown.field.boxes), style)


@router.get(
    "/searches/{search_id}/heatmap.tif",
    responses=file_answer(GEOTIFF) | problems(400, 404),
    response_class=Response,
    summary="Heat map as GeoTIFF",
)
def tiff(request: Request, shown: SearchMap, params: ExtentDep) -> Response:
    """Return the scores of a saved search as a GeoTIFF: float32, -9999 where there is no tile."""
    return _geotiff(request, shown, params)


@router.get(
    "/searches/{search_id}/heatmap/legend.json",
    responses=schemas.success(JSON, _LEGEND) | problems(400, 404),
    summary="Legend of a heat map",
)
def legend_json(shown: SearchMap, style: StyleDep) -> Response:
    """Return the scores that the colours represent, and the probabilities if they are known."""
    return json_response(shown.legend(style))


@router.get(
    "/searches/{search_id}/heatmap/legend.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Legend of a heat map as an image",
)
def legend_png(request: Request, shown: SearchMap, style: StyleDep) -> Response:
    """Return the colour scale with its range and probabilities."""
    return _file(request, shown, lambda: shown.legend_png(style), PNG)


@router.get(
    "/heatmap.png",
    responses=file_answer(PNG) | problems(400),
    response_class=Response,
    summary="Heat map of a sentence as an image",
)
def picture_of_url(request: Request, shown: UrlMap, style: StyleDep, params: ExtentDep) -> Response:
    """Return the score of each tile for `q` as an image, without saving the search."""
    return _picture(request, shown, params.extent().canvas(shown.field.boxes), style)


@router.get(
    "/heatmap.tif",
    responses=file_answer(GEOTIFF) | problems(400),
    response_class=Response,
    summary="Heat map of a sentence as GeoTIFF",
)
def tiff_of_url(request: Request, shown: UrlMap, params: ExtentDep) -> Response:
    """Return the score of each tile for `q` as a GeoTIFF, without saving the search."""
    return _geotiff(request, shown, params)


@router.post(
    "/heatmap",
    responses={
        200: {"description": "The heat map", "content": {PNG: FILE, GEOTIFF: FILE}},
        **problems(400, 404, 413, 415, 422, 503),
    },
    response_class=Response,
    summary="Heat map of any search",
    openapi_extra=openapi_body(HeatmapBody),
)
def heatmap_of_body(
    request: Request, body: Annotated[HeatmapBody, Depends(body_of(HeatmapBody, add_images))]
) -> Response:
    """Return the score of each tile for `q` or `semantic` as an image or GeoTIFF, without saving the search.

    `bbox` and the other filters select the tiles; `area` is the area that the map shows.
    """
    service: Service = request.app.state.service
    state: MapState = request.app.state.maps
    return Response(heatmap(service.searcher, state.scores, body), media_type=MEDIA_TYPES[body.format])
