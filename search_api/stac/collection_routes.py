"""Routes of the STAC API that describe it: conformance, collections, and the properties that filters can use."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from bandsight.stac import documents
from bandsight.stac.media_types import JSON
from search_api.dependencies import reject_unknown_params
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.stac import schemas
from search_api.stac.routes import Api, ApiDep, CollectionId

router = APIRouter(tags=["STAC"], dependencies=[Depends(reject_unknown_params)])


def collection_pages(api: Api) -> list[dict[str, Any]]:
    """Return all collections of an API as documents."""
    held = api.held().values()
    return [page for one in held for page in documents.collection_pages(one, api.archive.model, api.root)]


@router.get(
    "/conformance", responses=schemas.success(JSON, schemas.CONFORMANCE) | problems(400, 404), summary="Conformance"
)
def conformance(api: ApiDep) -> Response:
    """Return the standards that this API conforms to."""
    return json_response(documents.conformance(api.root))


@router.get(
    "/collections", responses=schemas.success(JSON, schemas.COLLECTIONS) | problems(400, 404), summary="Collections"
)
def collections(api: ApiDep) -> Response:
    """Return all collections with extents, bands and summaries."""
    return json_response(documents.collection_list(collection_pages(api), api.root))


@router.get(
    "/collections/{collection_id}",
    responses=schemas.success(JSON, schemas.COLLECTION) | problems(400, 404),
    summary="Collection",
)
def collection(api: ApiDep, collection_id: CollectionId) -> Response:
    """Return a collection with extents, bands and summaries."""
    for one in collection_pages(api):
        if one["id"] == collection_id:
            return json_response(one)
    raise api.no_collection(collection_id)


@router.get(
    "/queryables",
    responses=schemas.success(documents.SCHEMA, schemas.ANY) | problems(400, 404),
    summary="Queryables",
)
def queryables(api: ApiDep) -> Response:
    """Return the properties that filters can use, as a JSON schema."""
    return json_response(documents.queryables(api.root, api.archive.scene_columns().types()), documents.SCHEMA)


@router.get(
    "/collections/{collection_id}/queryables",
    responses=schemas.success(documents.SCHEMA, schemas.ANY) | problems(400, 404),
    summary="Queryables of a collection",
)
def collection_queryables(api: ApiDep, collection_id: CollectionId) -> Response:
    """Return the properties that filters of a collection can use, with the values of its scenes, as a JSON schema."""
    made = documents.collection_queryables(api.root, collection_id, api.holding(collection_id))
    return json_response(made, documents.SCHEMA)
