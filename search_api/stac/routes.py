"""The routes of a STAC API, made once for the archive and once for every registered search."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.datastructures import URL

from bandsight.archive import Archive
from bandsight.errors import NotFoundError, QueryError
from search_api.documented import problems
from search_api.service import Service
from search_api.stac import documents, schemas
from search_api.stac.items import scene_item, tile_item
from search_api.stac.meaning import TextRanking, terms_of
from search_api.stac.query import Answer, ItemQuery, Ranking, answer, collection_names, one_item
from search_api.stac.request import Filters, ListUrl, SearchBody, SearchUrl, only_known, query_of_body
from search_api.stac.root import GEOJSON, JSON, Root, link
from search_api.stac.state import StacState

_MAX_NAME = 1000
CollectionId = Annotated[str, Path(max_length=_MAX_NAME, description="Name of a collection")]
ItemId = Annotated[str, Path(max_length=_MAX_NAME, description="Number of a tile, or scene-N")]
_LISTS = schemas.of(GEOJSON, schemas.ITEMS)


class Api:
    """What a route needs: the archive, the API it belongs to, and how that orders its items."""

    def __init__(self, request: Request, root: Root, fixed: Callable[[], Ranking] | None = None) -> None:
        self.request, self.root, self._fixed = request, root, fixed
        self.service: Service = request.app.state.service
        self.state: StacState = request.app.state.stac

    @property
    def archive(self) -> Archive:
        """The archive."""
        return self.service.archive

    def names(self) -> list[str]:
        """Return the collections that this API shows."""
        archive = self.archive
        return archive.collection_names() if self.root.search is not None else collection_names(archive)

    def need_collection(self, name: str) -> None:
        """Refuse a collection that this API does not show.

        Raises:
            NotFoundError: It is none of them.
        """
        if name not in self.names():
            raise self.no_collection(name)

    def no_collection(self, name: str) -> NotFoundError:
        """Return the refusal of a collection."""
        names = self.names()
        there = f"there are {', '.join(names[:20])}" if names else "this archive holds none yet"
        return NotFoundError(f"collection_id: found {name[:60]!r}; {there}")

    def ranking(self, q: str | list[str] | None, semantic: Mapping[str, Any] | None) -> Ranking | None:
        """Return the order by meaning that is asked for, None for a list without one.

        Raises:
            QueryError: There are two orders, or one that this server does not know.
        """
        given = [name for name, value in (("q", q), ("semantic", semantic)) if value is not None]
        if self._fixed is not None:
            if given:
                raise QueryError(
                    f"{given[0]}: a registered search has an order of its own; narrow it by filters, or POST /search"
                )
            return self._fixed()
        return asked_ranking(self.service, self.state, q, semantic)


def asked_ranking(
    service: Service, state: StacState, q: str | list[str] | None, semantic: Mapping[str, Any] | None
) -> Ranking | None:
    """Return the ranking of a question, None where there is no question.

    Raises:
        QueryError: There are two, or this server takes no `semantic`.
    """
    if q is not None and semantic is not None:
        raise QueryError("q, semantic: found both; pass one of them")
    if q is not None:
        return TextRanking(service, terms_of(q))
    if semantic is None:
        return None
    if state.semantic is None:
        raise QueryError("semantic: this server takes none; pass q")
    return state.semantic(service, semantic)


def collection_pages(api: Api) -> list[dict[str, Any]]:
    """Return all collections of an API as documents."""
    held = api.state.holdings.of(api.archive).values()
    return [page for one in held for page in documents.collection_pages(one, api.archive.model, api.root)]


def server_url(request: Request) -> str:
    """Return the server's own root as clients reach it, without a slash at its end."""
    service: Service = request.app.state.service
    return (service.settings.public_url or str(request.base_url)).rstrip("/")


def json_answer(value: Any, media_type: str = JSON, status: int = 200) -> Response:
    """Return a document."""
    return Response(orjson.dumps(value), status, media_type=media_type)


def stac_router(api_of: Callable[..., Api], *, landing: bool) -> APIRouter:
    """Return the routes of an API.

    Args:
        api_of: Dependency that says which API a request is of.
        landing: Make the landing page's route too.
    """
    router = APIRouter(tags=["STAC"], dependencies=[Depends(only_known)])
    ApiDep = Annotated[Api, Depends(api_of)]  # noqa: N806  (a type)

    if landing:

        @router.get("/", responses=schemas.of(JSON, schemas.CATALOG) | problems(404), summary="Landing page")
        def landing_page(api: ApiDep) -> Response:
            """Return what this API is and where everything is."""
            return json_answer(documents.landing_page(api.root, api.names()))

    @router.get(
        "/conformance", responses=schemas.of(JSON, schemas.CONFORMANCE) | problems(400, 404), summary="Conformance"
    )
    def conformance(api: ApiDep) -> Response:  # noqa: ARG001  (an unknown API is 404)
        """Return the standards that this server conforms to."""
        return json_answer(documents.conformance())

    @router.get(
        "/collections", responses=schemas.of(JSON, schemas.COLLECTIONS) | problems(400, 404), summary="Collections"
    )
    def collections(api: ApiDep) -> Response:
        """Return all collections with extents, bands and summaries."""
        return json_answer(documents.collection_list(collection_pages(api), api.root))

    @router.get(
        "/collections/{collection_id}",
        responses=schemas.of(JSON, schemas.COLLECTION) | problems(400, 404),
        summary="One collection",
    )
    def collection(api: ApiDep, collection_id: CollectionId) -> Response:
        """Return a collection with extents, bands and summaries."""
        for page in collection_pages(api):
            if page["id"] == collection_id:
                return json_answer(page)
        raise api.no_collection(collection_id)

    @router.get(
        "/collections/{collection_id}/items", responses=_LISTS | problems(400, 404), summary="Items of a collection"
    )
    def items(
        api: ApiDep,
        collection_id: CollectionId,
        asked: Annotated[ListUrl, Depends()],
        collections: Annotated[
            str | None, Query(max_length=_MAX_NAME, description="This collection again, as pystac-client says it")
        ] = None,
    ) -> Response:
        """Return a page of a collection's items."""
        api.need_collection(collection_id)
        if collections not in {None, collection_id}:
            raise QueryError(f"collections: found {str(collections)[:60]!r} in a list of {collection_id}; use /search")
        query = asked.query(api.service.settings, collections=[collection_id])
        here = api.root.at("collections", collection_id)
        more = [link("collection", here), link("parent", here)]
        return _page(api, query, api.ranking(None, None), f"{here}/items", more)

    @router.get(
        "/collections/{collection_id}/items/{item_id}",
        responses=schemas.of(GEOJSON, schemas.ITEM) | problems(400, 404),
        summary="One item",
    )
    def item(api: ApiDep, collection_id: CollectionId, item_id: ItemId) -> Response:
        """Return a tile or a scene."""
        api.need_collection(collection_id)
        tile, scene = one_item(api.archive, collection_id, item_id)
        made = scene_item(scene, api.root) if tile is None else tile_item(tile, scene, api.root)
        return json_answer(made, GEOJSON)

    @router.get("/search", responses=_LISTS | problems(400, 404), summary="Item Search")
    def search(api: ApiDep, asked: Annotated[SearchUrl, Depends()]) -> Response:
        """Return a page of items; with `q`, tiles in the order of their meaning."""
        ranking = api.ranking(asked.q, None)
        return _page(api, asked.query(api.service.settings), ranking, api.root.at("search"), [])

    @router.post("/search", responses=_LISTS | problems(400, 404, 413, 415), summary="Item Search")
    def search_by_post(api: ApiDep, body: SearchBody) -> Response:
        """Return a page of items; with `q` or `semantic`, tiles in the order of their meaning."""
        ranking = api.ranking(body.q, body.semantic)
        return _page(api, query_of_body(api.service.settings, body), ranking, api.root.at("search"), [], body)

    @router.get(
        "/queryables", responses=schemas.of(documents.SCHEMA, schemas.ANY) | problems(400, 404), summary="Queryables"
    )
    def queryables(api: ApiDep) -> Response:
        """Return what filters may ask, as a JSON schema."""
        return json_answer(documents.queryables(api.root, api.archive.property_types()), documents.SCHEMA)

    @router.get(
        "/collections/{collection_id}/queryables",
        responses=schemas.of(documents.SCHEMA, schemas.ANY) | problems(400, 404),
        summary="Queryables of a collection",
    )
    def collection_queryables(api: ApiDep, collection_id: CollectionId) -> Response:
        """Return what filters may ask of a collection, as a JSON schema."""
        api.need_collection(collection_id)
        made = documents.queryables(api.root, api.archive.property_types(), collection_id)
        return json_answer(made, documents.SCHEMA)

    return router


def _page(
    api: Api,
    query: ItemQuery,
    ranking: Ranking | None,
    here: str,
    more: list[dict[str, Any]],
    body: Filters | None = None,
) -> Response:
    found = answer(api.archive, query, ranking)
    rows = [_item(api.root, row) for row in found.rows]
    page: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": [query.fields.apply(row) for row in rows],
        "links": [link("self", _with_params(api.request, here), GEOJSON), link("root", api.root.url), *more],
        "numberReturned": len(rows),
        **documents.server_facts(api.archive.model, found.generation),
        **found.facts,
    }
    if found.matched is not None:
        page["numberMatched"] = found.matched
    if found.next is not None:
        page["links"].append(_next(api.request, here, found, body))
    return json_answer(page, GEOJSON)


def _item(root: Root, row: tuple[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    tile, scene, facts = row
    return scene_item(scene, root) if tile is None else tile_item(tile, scene, root, facts)


def _next(request: Request, here: str, found: Answer, body: Filters | None) -> dict[str, Any]:
    if body is None:
        return link("next", _with_params(request, here, token=found.next), GEOJSON, method="GET")
    repeated = body.model_dump(exclude_unset=True, by_alias=True) | {"token": found.next}
    return link("next", here, GEOJSON, method="POST", body=repeated, merge=False)


def _with_params(request: Request, here: str, **changed: Any) -> str:
    return str(URL(f"{here}?{request.url.query}" if request.url.query else here).include_query_params(**changed))
