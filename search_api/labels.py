"""Routes for label collections, classifiers and proposals."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.attributes.fields import MAX_ID
from bandsight.learning.proposals import MAX_PROPOSALS
from bandsight.learning.requests import AreaReport, ImportLabels, NewCollection, NewLabels
from bandsight.learning.service import LabelService
from bandsight.stac.items import Root
from bandsight.stac.media_types import GEOJSON, JSON
from search_api.dependencies import ServiceDep, reject_unknown_params, server_url
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.stac import schemas

router = APIRouter(prefix="/labels", tags=["Labels"], dependencies=[Depends(reject_unknown_params)])
Name = Annotated[str, Path(max_length=100, description="Name of a label collection")]
_COLLECTION: dict[str, Any] = {"type": "object", "required": ["name", "classes", "created"]}
_COLLECTIONS: dict[str, Any] = {"type": "object", "required": ["collections"]}
_FEATURES: dict[str, Any] = {"type": "object", "required": ["type", "features"]}
_CLASSIFIER: dict[str, Any] = {"type": "object", "required": ["name", "version", "labels", "classes", "report"]}
_COUNTS: dict[str, Any] = {"type": "object"}


async def _labels(request: Request, service: ServiceDep) -> LabelService:
    return LabelService(service.searcher, Root(server=server_url(request)))


LabelsDep = Annotated[LabelService, Depends(_labels)]


def _layer_query(
    cls: Annotated[
        str | None, Query(alias="class", max_length=64, description="The class; required if there are several")
    ] = None,
    version: Annotated[int | None, Query(ge=1, le=10**9, description="Version; default: the newest")] = None,
    threshold: Annotated[float, Query(ge=0, le=1, description="Minimum probability")] = 0.5,
) -> dict[str, Any]:
    return {"class": cls, "version": version, "threshold": threshold}


LayerDep = Annotated[dict[str, Any], Depends(_layer_query)]
_LAYER: dict[str, Any] = {"type": "object", "required": ["classifier", "version", "tiles", "above"]}


@router.get("", responses=schemas.success(JSON, _COLLECTIONS) | problems(400), summary="Label collections")
def collections(labels: LabelsDep) -> Response:
    """Return all collections of labels with their classes and numbers of labels."""
    return json_response(labels.collections())


@router.post(
    "",
    status_code=201,
    responses=schemas.success(JSON, _COLLECTION, 201) | problems(400, 413, 415, 503),
    summary="Create a collection of labels",
)
def create(labels: LabelsDep, body: NewCollection) -> Response:
    """Create an empty collection of labels."""
    return json_response(labels.create(body.model_dump(by_alias=True)), status=201)


@router.post(
    "/area", responses=schemas.success(JSON, _COUNTS) | problems(400, 404, 413, 415), summary="Area of a class"
)
def area(labels: LabelsDep, body: AreaReport) -> Response:
    """Return the area of a class with its 95% interval, from a labelled sample."""
    return json_response(labels.area_report(body.model_dump()))


@router.get(
    "/{name}", responses=schemas.success(JSON, _COLLECTION) | problems(400, 404), summary="Collection of labels"
)
def collection(labels: LabelsDep, name: Name) -> Response:
    """Return a collection with its counts, and the tiles on which annotators disagree."""
    return json_response(labels.get(name))


@router.delete("/{name}", status_code=204, responses=problems(400, 403, 404, 503), summary="Delete a collection")
def delete(labels: LabelsDep, name: Name) -> Response:
    """Delete a collection and its labels and classifiers."""
    labels.delete(name)
    return Response(status_code=204)


@router.post(
    "/{name}/classes",
    responses=schemas.success(JSON, _COLLECTION) | problems(400, 404, 413, 415, 503),
    summary="Add classes to a collection",
)
def add_classes(labels: LabelsDep, name: Name, body: NewCollection) -> Response:
    """Add classes to a collection, or change the sentences of existing ones."""
    return json_response(labels.add_classes(name, body.model_dump(by_alias=True)))


@router.get("/{name}/items", responses=schemas.success(GEOJSON, _FEATURES) | problems(400, 404), summary="Labels")
def items(labels: LabelsDep, name: Name) -> Response:
    """Return the labels as GeoJSON, which `POST /labels/{name}/import` can read."""
    return json_response(labels.features(name), GEOJSON)


@router.post(
    "/{name}/items",
    status_code=201,
    responses=schemas.success(JSON, _COUNTS, 201) | problems(400, 404, 413, 415, 503),
    summary="Label tiles",
)
def add(labels: LabelsDep, name: Name, body: NewLabels) -> Response:
    """Label tiles, replacing earlier labels of the same annotator."""
    return json_response(labels.add(name, body.model_dump(by_alias=True)), status=201)


@router.delete(
    "/{name}/items/{tile_id}",
    responses=schemas.success(JSON, _COUNTS) | problems(400, 403, 404, 503),
    summary="Remove labels of a tile",
)
def remove(
    labels: LabelsDep,
    name: Name,
    tile_id: Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile")],
    annotator: Annotated[str | None, Query(max_length=100, description="Only labels of this annotator")] = None,
) -> Response:
    """Remove the labels of a tile and return their number."""
    return json_response(labels.remove(name, tile_id, annotator))


@router.post(
    "/{name}/import",
    status_code=201,
    responses=schemas.success(JSON, _COUNTS, 201) | problems(400, 404, 413, 415, 503),
    summary="Import labels",
)
def load(labels: LabelsDep, name: Name, body: ImportLabels) -> Response:
    """Label the tiles that contain points or are inside polygons."""
    return json_response(labels.load(name, body.model_dump(by_alias=True)), status=201)


@router.post(
    "/{name}/reattach",
    responses=schemas.success(JSON, _COUNTS) | problems(400, 403, 404, 503),
    summary="Reattach labels",
)
def reattach(labels: LabelsDep, name: Name) -> Response:
    """Move labels to the current tiles at the same location, after scenes were indexed again."""
    return json_response(labels.reattach(name))


@router.post(
    "/{name}/classifiers",
    status_code=201,
    responses=schemas.success(JSON, _CLASSIFIER, 201) | problems(400, 403, 404, 503),
    summary="Train a classifier",
)
def train(labels: LabelsDep, name: Name) -> Response:
    """Train a classifier on a collection, store it as the newest version, and return its figures."""
    return json_response(labels.train(name), status=201)


@router.get("/{name}/classifiers", responses=schemas.success(JSON, _COUNTS) | problems(400, 404), summary="Classifiers")
def classifiers(labels: LabelsDep, name: Name) -> Response:
    """Return all versions of a collection's classifier, newest first."""
    return json_response(labels.classifiers(name))


@router.get(
    "/{name}/proposals",
    responses=schemas.success(GEOJSON, _FEATURES) | problems(400, 404),
    summary="Tiles to label next",
)
def proposals(
    labels: LabelsDep,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=MAX_PROPOSALS, description="Maximum number of tiles")] = 20,
) -> Response:
    """Return the tiles whose labels would improve the classifier most, as STAC Items."""
    return json_response(labels.proposals(name, {"limit": limit}), GEOJSON)


@router.get(
    "/{name}/layer", responses=schemas.success(JSON, _LAYER) | problems(400, 404), summary="Layer of a classifier"
)
def layer(labels: LabelsDep, name: Name, query: LayerDep) -> Response:
    """Score every tile of the archive, and return the number of tiles that reach the threshold."""
    return json_response(labels.layer(name, query))


@router.get(
    "/{name}/layer/tiles",
    responses=schemas.success(GEOJSON, _FEATURES) | problems(400, 404),
    summary="Tiles of a layer",
)
def layer_tiles(labels: LabelsDep, name: Name, query: LayerDep) -> Response:
    """Return the tiles that reach the threshold, most probable first."""
    return json_response(labels.layer_features(name, query, "tiles"), GEOJSON)


@router.get(
    "/{name}/layer/polygons",
    responses=schemas.success(GEOJSON, _FEATURES) | problems(400, 404),
    summary="Polygons of a layer",
)
def layer_polygons(labels: LabelsDep, name: Name, query: LayerDep) -> Response:
    """Return the area of the tiles that reach the threshold as dissolved polygons."""
    return json_response(labels.layer_features(name, query, "polygons"), GEOJSON)


@router.get(
    "/{name}/layer/changes",
    responses=schemas.success(JSON, _COUNTS) | problems(400, 404),
    summary="Changes between versions",
)
def layer_changes(
    labels: LabelsDep,
    name: Name,
    query: LayerDep,
    before: Annotated[int, Query(ge=1, le=10**9, description="The earlier version")],
) -> Response:
    """Return the tiles gained and lost since an earlier version of the classifier."""
    return json_response(labels.compare(name, query, before))


@router.get(
    "/{name}/area/sample",
    responses=schemas.success(GEOJSON, _FEATURES) | problems(400, 404),
    summary="Sample for an area estimate",
)
def area_sample(
    labels: LabelsDep,
    name: Name,
    query: LayerDep,
    tiles: Annotated[int, Query(ge=1, le=100_000, description="Number of tiles")] = 200,
    seed: Annotated[int, Query(ge=0, le=10**9, description="Seed of the random numbers")] = 0,
) -> Response:
    """Return a stratified random sample of tiles, to be labelled before POST /labels/area."""
    return json_response(labels.area_sample(name, query, tiles, seed), GEOJSON)
