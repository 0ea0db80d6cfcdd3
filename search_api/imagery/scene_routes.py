"""Routes for one scene: styles, TileJSON and map tiles."""

from fastapi import APIRouter, Depends, Request, Response

from bandsight.catalog.records import Scene
from bandsight.geo.box import around
from bandsight.imagery.map_tiles import map_ground, scene_tile, zooms
from bandsight.imagery.rendering import scene_styles
from bandsight.imagery.scene_files import check_files
from bandsight.stac.media_types import JSON
from bandsight.work import stage
from search_api.dependencies import ServiceDep, reject_unknown_params, server_url
from search_api.etag import cached
from search_api.imagery.documents import STYLES_SCHEMA, TILEJSON_SCHEMA, image_responses, styles_document, tilejson
from search_api.imagery.params import MapRenderParamsDep, SceneId, TileIndex, Zoom, scene_number
from search_api.responses import PNG, json_response, png_response
from search_api.service import Service

router = APIRouter(tags=["Imagery"], dependencies=[Depends(reject_unknown_params)])
SCENE_MAX_AGE_S = 3600
"""How long clients may cache an image of a scene, which does not change."""


@router.get("/scenes/{scene_id}/styles", responses=image_responses(JSON, STYLES_SCHEMA), summary="Styles of a scene")
def styles_of_scene(service: ServiceDep, scene_id: SceneId) -> Response:
    """Return the band combinations available for the scene's sensor, the default first."""
    return json_response(styles_document(scene_styles(_scene(service, scene_id))))


@router.get(
    "/scenes/{scene_id}/tilejson.json",
    responses=image_responses(JSON, TILEJSON_SCHEMA),
    summary="TileJSON of a scene",
)
def scene_tilejson(request: Request, service: ServiceDep, scene_id: SceneId, params: MapRenderParamsDep) -> Response:
    """Describe the scene's map tiles (TileJSON 3.0). The tile URL repeats the query parameters."""
    scene = _scene(service, scene_id)
    zoom_range = zooms(scene, params.render_spec(scene))
    url = f"{server_url(request)}/scenes/{scene_id}/tiles/{{z}}/{{x}}/{{y}}.png"
    return json_response(tilejson(request, scene.name, url, around(scene.boxes), zoom_range))


@router.get(
    "/scenes/{scene_id}/tiles/{z}/{x}/{y}.png",
    responses=image_responses(PNG),
    response_class=Response,
    summary="Map tile of a scene",
)
def scene_map_tile(
    request: Request,
    service: ServiceDep,
    scene_id: SceneId,
    z: Zoom,
    x: TileIndex,
    y: TileIndex,
    params: MapRenderParamsDep,
) -> Response:
    """Render a scene on a map tile (Web Mercator, XYZ). Pixels without data are transparent."""
    scene = _scene(service, scene_id)
    ground, spec = map_ground(z, x, y, int(params.size)), params.render_spec(scene)

    def render() -> Response:
        with stage("render"):
            return png_response(scene_tile(scene, spec, ground).rgba())

    return cached(request, scene.key, render, seconds=SCENE_MAX_AGE_S)


def _scene(service: Service, scene_id: str) -> Scene:
    return check_files(service.archive.scene(scene_number(scene_id)))
