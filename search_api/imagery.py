"""Pictures over HTTP: thumbnails, styles, map tiles of scenes and collections, crops; of the archive's scenes only."""

import io
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from numpy.typing import NDArray
from PIL import Image

from bandsight.attributes.filters import Filter
from bandsight.attributes.item_ids import MAX_ID, tiles_collection
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox, around
from bandsight.imagery.crops import crop
from bandsight.imagery.map_tiles import MAX_ZOOM, map_ground, mosaic_tile, native_zoom, scene_tile, zooms
from bandsight.imagery.rendering import scene_styles
from bandsight.imagery.scene_files import check_files
from bandsight.imagery.thumbnails import thumbnail
from bandsight.search.listing import Key, browse
from bandsight.sensors.styles import Style
from bandsight.stac.links import GEOTIFF, JSON
from search_api.etag import cached
from search_api.imagery_request import LookUrl, MapUrl, scene_number
from search_api.problem_schema import problems
from search_api.service import Service
from search_api.stac.routes import json_answer, server_url
from search_api.stac.state import StacState
from search_api.stac.url_params import reject_unknown_params

router = APIRouter(tags=["Imagery"], dependencies=[Depends(reject_unknown_params)])
# A scene's picture stays as it is; a mosaic's does until something is indexed.
_SCENE_SECONDS, _MOSAIC_SECONDS = 3600, 60
# Most scenes that are read for one tile of a mosaic, and most that its TileJSON looks at.
MOSAIC_SCENES, _LOOKED_AT = 12, 100
_CROP_BYTES = 256 * 2**20
_PNG = "image/png"

TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]
SceneId = Annotated[str, Path(pattern=r"^(scene-)?\d{1,19}$", description="Id of a scene, N or scene-N")]
Collection = Annotated[str, Path(max_length=1000, description="Name of a collection of tiles")]
Z = Annotated[int, Path(ge=0, le=MAX_ZOOM, description="Zoom")]
XY = Annotated[int, Path(ge=0, lt=2**MAX_ZOOM, description="Column or row of the tile, from the north-west")]
LookDep = Annotated[LookUrl, Depends()]
MapDep = Annotated[MapUrl, Depends()]
_STYLES: dict[str, Any] = {
    "type": "object",
    "required": ["styles"],
    "properties": {
        "styles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "title", "bands"],
                "properties": {
                    "name": {"type": "string"},
                    "title": {"type": "string"},
                    "bands": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}
_TILEJSON: dict[str, Any] = {
    "type": "object",
    "required": ["tilejson", "tiles", "bounds", "minzoom", "maxzoom"],
    "properties": {"tilejson": {"const": "3.0.0"}, "tiles": {"type": "array", "items": {"type": "string"}}},
}


def _answers(media_type: str, schema: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": schema or {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "The answer", "content": content},
        304: {"description": "The client's copy is still good"},
        **problems(400, 404, 410),
    }


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


@router.get(
    "/tiles/{tile_id}/thumbnail.png", responses=_answers(_PNG), response_class=Response, summary="A picture of a tile"
)
def tile_thumbnail(
    request: Request,
    service: ServiceDep,
    tile_id: TileId,
    look: LookDep,
    size: Annotated[int, Query(ge=16, le=1024, description="Pixels along each side")] = 256,
    stretch: Annotated[
        Literal["tile", "sensor"],
        Query(description="tile: to what is in it, so that something is seen; sensor: so that tiles compare"),
    ] = "tile",
) -> Response:
    """Cut a tile's picture from its scene."""
    tile, scene = _tile(service, tile_id)
    chosen = look.of(scene, own_stretch=stretch == "tile")

    def make() -> Response:
        with service.drawing:
            return _png(thumbnail(scene, tile, size, chosen))

    return cached(request, scene.key, make, seconds=_SCENE_SECONDS)


@router.get("/tiles/{tile_id}/styles", responses=_answers(JSON, _STYLES), summary="Ways to show a tile")
def tile_styles(service: ServiceDep, tile_id: TileId) -> Response:
    """Return the combinations of bands that suit the tile's sensor, the one to begin with first."""
    found = service.archive.tile(tile_id)
    return json_answer(_shown_styles(scene_styles(service.archive.scene(found.scene_id))))


@router.get(
    "/tiles/{tile_id}/crop.tif", responses=_answers(GEOTIFF), response_class=Response, summary="A tile as GeoTIFF"
)
def tile_crop(
    request: Request,
    service: ServiceDep,
    tile_id: TileId,
    scale: Annotated[
        int | None, Query(ge=1, le=4096, description="Pixels of the scene in one, along each side; the tile's own")
    ] = None,
) -> Response:
    """Return all bands of a tile as they are stored, with their wavelengths: fit to be sent back as a query."""
    tile, scene = _tile(service, tile_id)

    def make() -> Response:
        with service.drawing:
            data = crop(scene, tile, scale=scale, max_bytes=_CROP_BYTES)
        named = {"Content-Disposition": f'attachment; filename="tile-{tile_id}.tif"'}
        return Response(data, media_type=GEOTIFF, headers=named)

    return cached(request, scene.key, make, seconds=_SCENE_SECONDS)


@router.get("/scenes/{scene_id}/styles", responses=_answers(JSON, _STYLES), summary="Ways to show a scene")
def styles_of_scene(service: ServiceDep, scene_id: SceneId) -> Response:
    """Return the combinations of bands that suit the scene's sensor, the one to begin with first."""
    return json_answer(_shown_styles(scene_styles(_scene(service, scene_id))))


@router.get("/scenes/{scene_id}/tilejson.json", responses=_answers(JSON, _TILEJSON), summary="Map tiles of a scene")
def scene_tilejson(request: Request, service: ServiceDep, scene_id: SceneId, look: MapDep) -> Response:
    """Describe the scene's map tiles to a client (TileJSON 3.0); they are shown with the same parameters."""
    scene = _scene(service, scene_id)
    least, greatest = zooms(scene, look.of(scene))
    url = f"{server_url(request)}/scenes/{scene_id}/tiles/{{z}}/{{x}}/{{y}}.png"
    return json_answer(_tilejson(request, scene.name, url, around(scene.boxes), (least, greatest)))


@router.get(
    "/scenes/{scene_id}/tiles/{z}/{x}/{y}.png",
    responses=_answers(_PNG),
    response_class=Response,
    summary="A map tile of a scene",
)
def scene_map_tile(
    request: Request, service: ServiceDep, scene_id: SceneId, z: Z, x: XY, y: XY, look: MapDep
) -> Response:
    """Draw a scene on a tile of a web map (Web Mercator, XYZ); see-through where it shows nothing."""
    scene = _scene(service, scene_id)
    ground, chosen = map_ground(z, x, y, int(look.size)), look.of(scene)

    def make() -> Response:
        with service.drawing:
            return _png(scene_tile(scene, chosen, ground).rgba())

    return cached(request, scene.key, make, seconds=_SCENE_SECONDS)


@router.get(
    "/collections/{collection_id}/styles", responses=_answers(JSON, _STYLES), summary="Ways to show a collection"
)
def styles_of_collection(service: ServiceDep, collection_id: Collection) -> Response:
    """Return the combinations of bands that suit the sensors of a collection."""
    scenes = _newest(service, _collection(service, collection_id), _LOOKED_AT)
    sensors = {(scene.sensor, tuple(band.name for band in scene.bands)): scene for scene in reversed(scenes)}
    styles = {style.name: style for scene in sensors.values() for style in scene_styles(scene)}
    return json_answer(_shown_styles(tuple(styles.values())))


@router.get(
    "/collections/{collection_id}/tilejson.json",
    responses=_answers(JSON, _TILEJSON),
    summary="Map tiles of a collection",
)
def collection_tilejson(request: Request, service: ServiceDep, collection_id: Collection, look: MapDep) -> Response:
    """Describe the mosaic's map tiles to a client (TileJSON 3.0); they are shown with the same parameters."""
    scenes = _newest(service, _collection(service, collection_id), _LOOKED_AT)
    _need_look(scenes, look)
    state: StacState = request.app.state.stac
    held = state.holdings.of(service.archive)
    name = _tiles_name(collection_id)
    greatest = native_zoom(scenes)
    # Farther out a tile would show more scenes than are read for one.
    out = 0 if held[name].scenes > MOSAIC_SCENES else greatest
    side = max(max(scene.width, scene.height) for scene in scenes)
    least = max(0, greatest - max(out, int(math.log2(max(1, side // 128)))))
    url = f"{server_url(request)}/collections/{quote(collection_id, safe='')}/tiles/{{z}}/{{x}}/{{y}}.png"
    return json_answer(_tilejson(request, name, url, held[name].box, (least, greatest)))


@router.get(
    "/collections/{collection_id}/tiles/{z}/{x}/{y}.png",
    responses=_answers(_PNG),
    response_class=Response,
    summary="A map tile of a collection",
)
def collection_map_tile(
    request: Request,
    service: ServiceDep,
    collection_id: Collection,
    z: Z,
    x: XY,
    y: XY,
    look: MapDep,
) -> Response:
    """Draw a collection's newest scenes on a tile of a web map; scenes without the bands asked for are left out."""
    wanted, ground = _collection(service, collection_id), map_ground(z, x, y, int(look.size))
    here = Filter(area=Area.from_box(ground.box), all_of=(wanted,))
    scenes = _newest(service, here, MOSAIC_SCENES)
    _need_look(scenes, look)

    def make() -> Response:
        with service.drawing:
            return _png(mosaic_tile(scenes, look.if_any, ground).rgba())

    # What is shown depends on these scenes only, not on what is indexed elsewhere.
    return cached(request, [scene.key for scene in scenes], make, seconds=_MOSAIC_SECONDS)


def _tile(service: Service, tile_id: int) -> tuple[Tile, Scene]:
    tile = service.archive.tile(tile_id)
    return tile, check_files(service.archive.scene(tile.scene_id))


def _scene(service: Service, scene_id: str) -> Scene:
    return check_files(service.archive.scene(scene_number(scene_id)))


def _tiles_name(collection_id: str) -> str:
    return tiles_collection(collection_id) or collection_id


def _collection(service: Service, collection_id: str) -> Filter:
    names = service.archive.collection_names()
    name = _tiles_name(collection_id)
    if name not in names:
        there = f"there are {', '.join(names[:20])}" if names else "this archive holds none yet"
        raise NotFoundError(f"collection_id: found {collection_id[:60]!r}; {there}")
    return Filter(collections=(name,))


def _newest(service: Service, wanted: Filter, most: int) -> list[Scene]:
    order = (Key(name="datetime", descending=True), Key(name="id", descending=True))
    return [scene for _, scene in browse(service.archive, most, None, wanted, order).rows]


def _need_look(scenes: Sequence[Scene], look: LookUrl) -> None:
    """Refuse what none of the scenes can be shown as.

    Raises:
        QueryError: All of them refuse it.
    """
    refusal: QueryError | None = None
    for scene in scenes:
        try:
            look.of(scene)
        except QueryError as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal


def _shown_styles(styles: Sequence[Style]) -> dict[str, Any]:
    rows = [{"name": style.name, "title": style.title, "bands": list(style.bands)} for style in styles]
    return {"styles": rows}


def _tilejson(request: Request, name: str, url: str, box: LonLatBox, zooms: tuple[int, int]) -> dict[str, Any]:
    query = request.url.query
    # TileJSON has no boxes across ±180°.
    west, east = (box.west, box.east) if box.west <= box.east else (-180.0, 180.0)
    middle = ((box.west + box.east + (0 if box.west <= box.east else 360)) / 2 + 180) % 360 - 180
    return {
        "tilejson": "3.0.0",
        "name": name,
        "scheme": "xyz",
        "tiles": [f"{url}?{query}" if query else url],
        "bounds": [west, box.south, east, box.north],
        "center": [middle, (box.south + box.north) / 2, zooms[0]],
        "minzoom": zooms[0],
        "maxzoom": zooms[1],
    }


def _png(picture: NDArray[np.uint8]) -> Response:
    out = io.BytesIO()
    # Maps ask for many: a little larger, in a third of the time.
    Image.fromarray(picture).save(out, "PNG", compress_level=3)
    return Response(out.getvalue(), media_type=_PNG)
