"""Routes of heat maps: how well each place fits a question, as map tiles, pictures, GeoTIFF and legend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps import pictures
from bandsight.maps.legend import probability_marks
from bandsight.maps.rasterize import MAX_MERCATOR_LAT, MAX_SIDE, MAX_ZOOM, Canvas, Crs, Ground
from bandsight.maps.scores import PERCENTILES, Field
from bandsight.search.items import filter_of
from bandsight.search.request import query_of_body
from bandsight.search.resolve import Question, resolve_question, terms_of
from bandsight.stac.links import JSON
from search_api.etag import cached
from search_api.maps.state import MapState
from search_api.problem_schema import problems
from search_api.service import Service
from search_api.stac import schemas
from search_api.stac.routes import json_answer, server_url
from search_api.stac.searches import SearchesDep, SearchId, read_body
from search_api.stac.url_params import AskedUrl, reject_unknown_params

router = APIRouter(tags=["Heat maps"], dependencies=[Depends(reject_unknown_params)])
PNG, GEOTIFF = "image/png", "image/tiff; application=geotiff"
_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TILEJSON: dict[str, Any] = {"type": "object", "required": ["tilejson", "tiles", "bounds", "minzoom", "maxzoom"]}
_LEGEND: dict[str, Any] = {"type": "object", "required": ["range", "percentiles", "colormap", "marks", "generation"]}


def file_answer(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of its answer, a file."""
    made = {"description": "The answer", "content": {media_type: _FILE}}
    return {200: made, 304: {"description": "The client has it already"}}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A question and where it is asked, ready to be painted."""

    request: Request
    question: Question
    field: Field

    @property
    def service(self) -> Service:
        """Archive and model."""
        service: Service = self.request.app.state.service
        return service

    def png(self, canvas: Callable[[], Canvas], look: "Look") -> Response:
        """Return the scores as a picture."""
        extent, grid = look.extent(self.field), canvas()

        def make() -> bytes:
            return pictures.png(grid.paint(self.field.ground, self.field.scores), extent, look.colormap)

        return self.answer(make, PNG)

    def tiff(self, frame: "Frame") -> Response:
        """Return the scores as a GeoTIFF."""
        grid = frame.canvas(self.field.ground)
        tags = {"GENERATION": str(self.field.generation), "MODEL": self.service.encoder.name}

        def make() -> bytes:
            return pictures.geotiff(grid.paint(self.field.ground, self.field.scores), grid, "score", tags)

        return self.answer(make, GEOTIFF)

    def marks(self) -> list[dict[str, Any]]:
        """Return which scores mean which probability."""
        return probability_marks(self.service.searcher, self.question, self.field)

    def answer(self, make: Callable[[], bytes], media_type: str) -> Response:
        """Return a file, or 304 to a client that has it."""
        identity = (self.question.key, self.field.generation)
        return cached(self.request, identity, lambda: Response(make(), media_type=media_type), seconds=0)


def _mapped_search(request: Request, searches: SearchesDep, search_id: SearchId) -> Mapped:
    """Return the map of a registered search."""
    service: Service = request.app.state.service
    state: MapState = request.app.state.maps
    body = read_body(searches.get(search_id))
    question = state.question(service, search_id, body)
    wanted = filter_of(service.searcher, query_of_body(body, service.settings.max_hits))
    return Mapped(request, question, state.fields.of(service.archive, question, wanted))


def _mapped_url(request: Request, asked: Annotated[AskedUrl, Depends()]) -> Mapped:
    """Return the map of a question in the URL."""
    service: Service = request.app.state.service
    state: MapState = request.app.state.maps
    question = resolve_question(service.searcher, terms_of(asked.q))
    wanted = filter_of(service.searcher, asked.query(service.settings))
    return Mapped(request, question, state.fields.of(service.archive, question, wanted))


MappedSearch = Annotated[Mapped, Depends(_mapped_search)]
MappedUrl = Annotated[Mapped, Depends(_mapped_url)]
Side = Annotated[int | None, Query(ge=1, le=MAX_SIDE, description="Pixels; what keeps them square when left out")]
Bbox = Annotated[
    str | None,
    Query(
        max_length=1000, description="west,south,east,north; all tiles when left out", examples=["12.5,51.5,14,52.5"]
    ),
]


@dataclass(kw_only=True)
class Look:
    """How scores become colours."""

    colormap: Annotated[pictures.ColorMap, Query(description="Perceptually uniform")] = "magma"
    rescale: Annotated[
        str | None,
        Query(max_length=100, description="Scores of the first and last colour; percentiles 2 and 99.9 when left out"),
    ] = None

    def extent(self, field: Field) -> tuple[float, float]:
        """Return the scores that the first and the last colour stand for.

        Raises:
            QueryError: `rescale` is not two numbers that ascend.
        """
        return self.given() or field.range

    def given(self) -> tuple[float, float] | None:
        """Return what `rescale` says, None where it was left out.

        Raises:
            QueryError: It is not two numbers that ascend.
        """
        if self.rescale is None:
            return None
        try:
            low, high = (float(part) for part in self.rescale.split(","))
        except ValueError as error:
            raise QueryError(f"rescale: found {self.rescale[:60]!r}; need two numbers, e.g. 0.1,0.3") from error
        if not -10 <= low < high <= 10:  # noqa: PLR2004
            raise QueryError(f"rescale: found {self.rescale[:60]!r}; need two scores, the lower one first")
        return low, high


LookDep = Annotated[Look, Depends()]


@dataclass(kw_only=True)
class Frame:
    """Which part of the Earth a picture shows."""

    bbox: Bbox = None
    width: Side = None
    height: Side = None
    crs: Annotated[Crs, Query(description="Of the picture")] = "EPSG:4326"

    def canvas(self, ground: Ground) -> Canvas:
        """Return the grid of the box, or around all tiles.

        Raises:
            QueryError: There is nothing to show.
        """
        box = ground.box if self.bbox is None else LonLatBox.from_text(self.bbox)
        if box is None:
            raise QueryError("bbox: missing, and no tile passes the filters; pass one to get an empty picture")
        return Canvas.of_box(box, self.crs, self.width, self.height)


FrameDep = Annotated[Frame, Depends()]


@router.get(
    "/searches/{search_id}/heatmap/{z}/{x}/{y}.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Heat map as map tiles",
)
def tile(
    mapped: MappedSearch,
    look: LookDep,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
) -> Response:
    """Return a map tile (XYZ, Web Mercator, 256 pixels) of a registered search's scores."""
    if max(x, y) >= 2**z:
        raise QueryError(f"x, y: found {x}, {y}; at zoom {z} they are 0..{2**z - 1}")
    return mapped.png(lambda: Canvas.of_tile(z, x, y), look)


@router.get(
    "/searches/{search_id}/heatmap/tilejson.json",
    responses=schemas.of(JSON, _TILEJSON) | problems(400, 404),
    summary="TileJSON of a heat map",
)
def tilejson(mapped: MappedSearch, look: LookDep, search_id: SearchId) -> Response:
    """Return where the map tiles are and what they cover."""
    look.extent(mapped.field)
    box = mapped.field.ground.box
    bounds = [-180.0, -MAX_MERCATOR_LAT, 180.0, MAX_MERCATOR_LAT]
    if box is not None and box.west <= box.east:
        bounds = [box.west, box.south, box.east, box.north]
    own = f"?{mapped.request.url.query}" if mapped.request.url.query else ""
    tiles = f"{server_url(mapped.request)}/searches/{search_id}/heatmap/{{z}}/{{x}}/{{y}}.png{own}"
    made = {"tilejson": "3.0.0", "name": "heat map", "tiles": [tiles], "bounds": bounds, "scheme": "xyz"}
    return json_answer({**made, "minzoom": 0, "maxzoom": MAX_ZOOM, "generation": mapped.field.generation})


@router.get(
    "/searches/{search_id}/heatmap.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Heat map as a picture",
)
def picture(mapped: MappedSearch, look: LookDep, frame: FrameDep) -> Response:
    """Return a picture of a registered search's scores."""
    return mapped.png(lambda: frame.canvas(mapped.field.ground), look)


@router.get(
    "/searches/{search_id}/heatmap.tif",
    responses=file_answer(GEOTIFF) | problems(400, 404),
    response_class=Response,
    summary="Heat map as GeoTIFF",
)
def tiff(mapped: MappedSearch, frame: FrameDep) -> Response:
    """Return a registered search's scores as a GeoTIFF: float32, -9999 where there is no tile."""
    return mapped.tiff(frame)


@router.get(
    "/searches/{search_id}/heatmap/legend.json",
    responses=schemas.of(JSON, _LEGEND) | problems(400, 404),
    summary="Legend of a heat map",
)
def legend_json(mapped: MappedSearch, look: LookDep) -> Response:
    """Return which scores the colours stand for, and which probabilities where that is known."""
    field = mapped.field
    return json_answer(
        {
            "colormap": look.colormap,
            "range": look.extent(field),
            "percentiles": dict(zip(map(str, PERCENTILES), field.percentiles.tolist(), strict=True)),
            "marks": mapped.marks(),
            "tiles": len(field.ids),
            "generation": field.generation,
        }
    )


@router.get(
    "/searches/{search_id}/heatmap/legend.png",
    responses=file_answer(PNG) | problems(400, 404),
    response_class=Response,
    summary="Legend of a heat map as a picture",
)
def legend_png(mapped: MappedSearch, look: LookDep) -> Response:
    """Return the colours with their range and probabilities."""
    extent = look.extent(mapped.field)
    marks = [(mark["score"], f"{mark['probability']:.0%}") for mark in mapped.marks()]
    return mapped.answer(lambda: pictures.legend(extent, look.colormap, marks), PNG)


@router.get(
    "/heatmap.png",
    responses=file_answer(PNG) | problems(400),
    response_class=Response,
    summary="Heat map of a sentence as a picture",
)
def picture_of_url(mapped: MappedUrl, look: LookDep, frame: FrameDep) -> Response:
    """Return a picture of how well each place fits `q`; nothing is registered."""
    return mapped.png(lambda: frame.canvas(mapped.field.ground), look)


@router.get(
    "/heatmap.tif",
    responses=file_answer(GEOTIFF) | problems(400),
    response_class=Response,
    summary="Heat map of a sentence as GeoTIFF",
)
def tiff_of_url(mapped: MappedUrl, frame: FrameDep) -> Response:
    """Return how well each place fits `q` as a GeoTIFF; nothing is registered."""
    return mapped.tiff(frame)
