"""Routes for one tile of an archive: thumbnail, styles, and a crop of its pixels."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from bandsight.catalog.records import Scene, Tile
from bandsight.imagery.crops import crop
from bandsight.imagery.rendering import scene_styles
from bandsight.imagery.scene_files import check_files
from bandsight.imagery.thumbnails import thumbnail
from bandsight.imagery.tile_mark import mark_of
from bandsight.stac.media_types import GEOTIFF, JSON
from bandsight.work import stage
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.etag import cached
from search_api.imagery.documents import STYLES_SCHEMA, image_responses, styles_document
from search_api.imagery.params import RenderParamsDep, TileId
from search_api.imagery.scene_routes import SCENE_MAX_AGE_S
from search_api.responses import PNG, json_response, png_response
from search_api.service import Service

router = APIRouter(tags=["Imagery"], dependencies=[Depends(reject_unknown_params)])
_MAX_CROP_BYTES = 256 * 2**20


@router.get(
    "/tiles/{tile_id}/thumbnail.png",
    responses=image_responses(PNG),
    response_class=Response,
    summary="Thumbnail of a tile",
)
def tile_thumbnail(
    request: Request,
    service: ServiceDep,
    tile_id: TileId,
    params: RenderParamsDep,
    size: Annotated[int, Query(ge=16, le=1024, description="Width and height in pixels")] = 256,
    stretch: Annotated[
        Literal["scene", "tile"],
        Query(
            description="scene: one stretch for the whole scene, as on the map; tile: stretch to the tile's own values"
        ),
    ] = "scene",
) -> Response:
    """Return an image of a tile, read from its scene. Pixels without data are transparent."""
    tile, scene = _tile_and_scene(service, tile_id)
    spec = params.render_spec(scene, own_stretch=stretch == "tile")

    def render() -> Response:
        with stage("render"):
            return png_response(thumbnail(scene, tile, size, spec, transparent=True), mark_of(scene, tile))

    return cached(request, scene.key, render, seconds=SCENE_MAX_AGE_S)


@router.get("/tiles/{tile_id}/styles", responses=image_responses(JSON, STYLES_SCHEMA), summary="Styles of a tile")
def tile_styles(service: ServiceDep, tile_id: TileId) -> Response:
    """Return the band combinations available for the tile's sensor, the default first."""
    tile = service.archive.tile(tile_id)
    return json_response(styles_document(scene_styles(service.archive.scene(tile.scene_id))))


@router.get(
    "/tiles/{tile_id}/crop.tif", responses=image_responses(GEOTIFF), response_class=Response, summary="Tile as GeoTIFF"
)
def tile_crop(
    request: Request,
    service: ServiceDep,
    tile_id: TileId,
    scale: Annotated[
        int | None,
        Query(ge=1, le=4096, description="Scene pixels per output pixel along each side; default: the tile's own"),
    ] = None,
) -> Response:
    """Return all stored bands of a tile with their wavelengths. The file can be used as a query image."""
    tile, scene = _tile_and_scene(service, tile_id)

    def read() -> Response:
        with stage("render"):
            data = crop(scene, tile, scale=scale, max_bytes=_MAX_CROP_BYTES)
        headers = {"Content-Disposition": f'attachment; filename="tile-{tile_id}.tif"'}
        return Response(data, media_type=GEOTIFF, headers=headers)

    return cached(request, scene.key, read, seconds=SCENE_MAX_AGE_S)


def _tile_and_scene(service: Service, tile_id: int) -> tuple[Tile, Scene]:
    tile = service.archive.tile(tile_id)
    return tile, check_files(service.archive.scene(tile.scene_id))
