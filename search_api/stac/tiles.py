"""Routes of one tile by its number alone: its Item, and what looks like it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from bandsight.attributes.item_ids import MAX_ID
from bandsight.search.resolve import like_tile
from bandsight.stac.items import tile_item
from bandsight.stac.links import GEOJSON, Root
from search_api.problem_schema import problems
from search_api.stac import schemas
from search_api.stac.routes import Api, json_answer, page, server_url
from search_api.stac.url_params import LikeUrl, read_at_once, reject_unknown_params

router = APIRouter(tags=["Tiles"], dependencies=[Depends(reject_unknown_params)])
TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]


async def archive_api(request: Request) -> Api:
    """Return the API of the whole archive."""
    return Api(request, Root(server=server_url(request)))


ApiDep = Annotated[Api, Depends(archive_api)]


@router.get("/tiles/{tile_id}", responses=schemas.of(GEOJSON, schemas.ITEM) | problems(400, 404), summary="One tile")
def tile(api: ApiDep, tile_id: TileId) -> Response:
    """Return a tile as an Item."""
    found = api.archive.tile(tile_id)
    return json_answer(tile_item(found, api.archive.scene(found.scene_id), api.root), GEOJSON)


@router.get(
    "/tiles/{tile_id}/similar",
    responses=schemas.of(GEOJSON, schemas.ITEMS) | problems(400, 404),
    summary="Tiles that look like one",
)
def similar(api: ApiDep, tile_id: TileId, asked: Annotated[LikeUrl, read_at_once(LikeUrl)]) -> Response:
    """Return a page of tiles by their likeness to a tile, itself left out: short for `semantic` with its id."""
    question = api.question(None, like_tile(tile_id))
    here = api.root.shared(f"/tiles/{tile_id}/similar")
    return page(api, asked.query(api.service.settings), api.ranking(question), here)
