"""Routes for mosaics of the newest scenes of a collection or the whole archive: styles, TileJSON, map tiles."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from bandsight.attributes.fields import tiles_collection
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Scene
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import around
from bandsight.imagery.map_tiles import map_ground, mosaic_tile, native_zoom
from bandsight.imagery.rendering import RenderSpec, render_spec, scene_styles
from bandsight.raster.warp import TargetGrid
from bandsight.search.listing import Key, browse
from bandsight.stac.collection_stats import Holding
from bandsight.stac.media_types import JSON
from bandsight.work import stage
from search_api.dependencies import ServiceDep, reject_unknown_params, server_url
from search_api.etag import cached
from search_api.imagery.documents import STYLES_SCHEMA, TILEJSON_SCHEMA, image_responses, styles_document, tilejson
from search_api.imagery.params import (
    CollectionId,
    MapRenderParamsDep,
    MapTileSize,
    RenderParams,
    SizeDep,
    TileIndex,
    Zoom,
)
from search_api.pyramid_filler import PyramidFiller
from search_api.responses import PNG, json_response, png_response
from search_api.service import Service
from search_api.stac.state import StacState

router = APIRouter(tags=["Imagery"], dependencies=[Depends(reject_unknown_params)])
MOSAIC_SCENES = 12
"""Maximum number of scenes per map tile of a mosaic."""
# Maximum number of scenes sampled for styles and TileJSON.
_SAMPLED_SCENES = 100
# Minimum size of scenes to show imagery, map pixels; smaller ones are outlines or points. The second is for many
# scenes.
_LEAST_PX, _LEAST_PX_OF_MANY = 16, 128
# A mosaic changes when scenes are indexed.
_MOSAIC_MAX_AGE_S = 60


@router.get(
    "/collections/{collection_id}/styles",
    responses=image_responses(JSON, STYLES_SCHEMA),
    summary="Styles of a collection",
)
def styles_of_collection(service: ServiceDep, collection_id: CollectionId) -> Response:
    """Return the band combinations available for the sensors of a collection."""
    scenes = _newest(service, _collection_filter(service, collection_id), _SAMPLED_SCENES)
    sensors = {(scene.sensor, tuple(band.name for band in scene.bands)): scene for scene in reversed(scenes)}
    styles = {style.name: style for scene in sensors.values() for style in scene_styles(scene)}
    return json_response(styles_document(tuple(styles.values())))


@router.get(
    "/collections/{collection_id}/tilejson.json",
    responses=image_responses(JSON, TILEJSON_SCHEMA),
    summary="TileJSON of a collection",
)
def collection_tilejson(
    request: Request, service: ServiceDep, collection_id: CollectionId, params: MapRenderParamsDep
) -> Response:
    """Describe the mosaic's map tiles (TileJSON 3.0). The tile URL repeats the query parameters."""
    scenes = _newest(service, _collection_filter(service, collection_id), _SAMPLED_SCENES)
    _require_renderable(scenes, params)
    holding = _holdings(request, service)[_tiles_name(collection_id)]
    url = f"{server_url(request)}/collections/{quote(collection_id, safe='')}/tiles/{{z}}/{{x}}/{{y}}.png"
    levels = _zooms(scenes, few=holding.scenes <= MOSAIC_SCENES)
    return json_response(tilejson(request, _tiles_name(collection_id), url, holding.box, levels))


@router.get(
    "/imagery/tilejson.json",
    responses=image_responses(JSON, TILEJSON_SCHEMA),
    dependencies=[Depends(MapTileSize)],
    summary="TileJSON of the archive",
)
def archive_tilejson(request: Request, service: ServiceDep) -> Response:
    """Describe the map tiles of all scenes, each in its default style. The tile URL repeats the query parameters."""
    scenes = _newest(service, Filter(), _SAMPLED_SCENES)
    if not scenes:
        raise NotFoundError("imagery: this archive has no scenes yet")
    holdings = _holdings(request, service)
    levels = _zooms(scenes, few=sum(one.scenes for one in holdings.values()) <= MOSAIC_SCENES)
    url = f"{server_url(request)}/imagery/tiles/{{z}}/{{x}}/{{y}}.png"
    return json_response(tilejson(request, "imagery", url, around([one.box for one in holdings.values()]), levels))


@router.get(
    "/collections/{collection_id}/tiles/{z}/{x}/{y}.png",
    responses=image_responses(PNG),
    response_class=Response,
    summary="Map tile of a collection",
)
def collection_map_tile(
    request: Request,
    service: ServiceDep,
    collection_id: CollectionId,
    z: Zoom,
    x: TileIndex,
    y: TileIndex,
    params: MapRenderParamsDep,
) -> Response:
    """Render a collection's newest scenes on a map tile. Scenes without the requested bands are skipped."""
    collection, ground = _collection_filter(service, collection_id), map_ground(z, x, y, int(params.size))
    scenes = _newest(service, Filter(area=Area.from_box(ground.box), all_of=(collection,)), MOSAIC_SCENES)
    _require_renderable(scenes, params)
    ready = service.pyramids if params.default else None
    return _mosaic(request, scenes, ground, params.render_spec_or_none, ready)


@router.get(
    "/imagery/tiles/{z}/{x}/{y}.png",
    responses=image_responses(PNG),
    response_class=Response,
    summary="Map tile of the archive",
)
def archive_map_tile(
    request: Request, service: ServiceDep, z: Zoom, x: TileIndex, y: TileIndex, params: SizeDep
) -> Response:
    """Render the newest scenes of all collections on a map tile, those in natural colour above the others."""
    ground = map_ground(z, x, y, int(params.size))
    scenes = _newest(service, Filter(area=Area.from_box(ground.box)), MOSAIC_SCENES)
    scenes.sort(key=lambda scene: scene_styles(scene)[0].name != "natural")
    return _mosaic(request, scenes, ground, render_spec, service.pyramids)


def _mosaic(
    request: Request,
    scenes: Sequence[Scene],
    ground: TargetGrid,
    spec_of: Callable[[Scene], RenderSpec | None],
    pyramids: PyramidFiller | None,
) -> Response:
    def render() -> Response:
        if not scenes:
            return Response(_nothing(ground.width), media_type=PNG)
        with stage("render"):
            return png_response(mosaic_tile(scenes, spec_of, ground, pyramids).rgba())

    if pyramids is not None:
        pyramids.fill(scenes)
    # The ETag depends on these scenes only, so indexing elsewhere does not invalidate it.
    return cached(request, [scene.key for scene in scenes], render, seconds=_MOSAIC_MAX_AGE_S)


@lru_cache(maxsize=2)
def _nothing(size: int) -> bytes:
    """Return a transparent map tile."""
    return bytes(png_response(np.zeros((size, size, 4), np.uint8)).body)


def _holdings(request: Request, service: Service) -> Mapping[str, Holding]:
    state: StacState = request.app.state.stac
    return state.holdings.of(service.archive)


def _zooms(scenes: Sequence[Scene], *, few: bool) -> tuple[int, int]:
    """Return the lowest and highest zoom level of a mosaic."""
    # At lower zooms a map tile would show more scenes than it may read, or scenes too small to be seen.
    least_px = _LEAST_PX if few else _LEAST_PX_OF_MANY
    sizes = (max(1, max(scene.width, scene.height) // least_px) for scene in scenes)
    lowest = min(native_zoom([scene]) - int(math.log2(size)) for scene, size in zip(scenes, sizes, strict=True))
    return max(0, lowest), native_zoom(scenes)


def _tiles_name(collection_id: str) -> str:
    return tiles_collection(collection_id) or collection_id


def _collection_filter(service: Service, collection_id: str) -> Filter:
    names = service.archive.scene_columns().collection_names()
    name = _tiles_name(collection_id)
    if name not in names:
        choices = f"there are {', '.join(names[:20])}" if names else "this archive has no collections yet"
        raise NotFoundError(f"collection_id: found {collection_id[:60]!r}; {choices}")
    return Filter(collections=(name,))


def _newest(service: Service, where: Filter, limit: int) -> list[Scene]:
    order = (Key(name="datetime", descending=True), Key(name="id", descending=True))
    return [scene for _, scene in browse(service.archive, limit, None, where, order).rows]


def _require_renderable(scenes: Sequence[Scene], params: RenderParams) -> None:
    """Reject parameters that fit none of the scenes.

    Raises:
        QueryError: They fit none; the error is that of the first scene.
    """
    first_error: QueryError | None = None
    for scene in scenes:
        try:
            params.render_spec(scene)
        except QueryError as error:
            first_error = first_error or error
        else:
            return
    if first_error is not None:
        raise first_error
