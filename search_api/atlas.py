"""Routes for the atlas: its points, values for colouring them, and the review of the archive."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from bandsight.atlas.export import write_parquet
from bandsight.atlas.requests import AtlasValues
from bandsight.atlas.review import LIKENESS, LISTED, review
from bandsight.atlas.service import MAX_POINTS, PART
from bandsight.stac.media_types import JSON
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.service import Service
from search_api.stac import schemas

router = APIRouter(prefix="/atlas", tags=["Atlas"], dependencies=[Depends(reject_unknown_params)])
GENERATION = "Bandsight-Generation"
# Floating-point numbers hardly shrink: the app does not compress this type.
BINARY = "application/octet-stream"
PARQUET = "application/vnd.apache.parquet"
_PART_BYTES = 2**20
_ATLAS: dict[str, Any] = {
    "type": "object",
    "required": ["points", "tiles", "missing", "parts", "part_size", "generation", "sensors", "clusters"],
}
_REVIEW: dict[str, Any] = {"type": "object", "required": ["duplicates", "outliers", "frequent", "missing"]}
_NUMBERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Little-endian numbers, column after column",
        "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {GENERATION: {"schema": {"type": "integer"}, "description": "The commit that the points are of"}},
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "GeoParquet with the columns x, y and text",
        "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", responses=schemas.success(JSON, _ATLAS) | problems(400, 404), summary="The atlas of the archive")
def document(service: ServiceDep) -> Response:
    """Return how many points the atlas has, its clusters with their names, and its sensors."""
    return json_response(service.atlas.document())


@router.get("/points", responses=_NUMBERS | problems(400, 404), response_class=Response, summary="Points of the atlas")
def points(
    service: ServiceDep,
    part: Annotated[
        int,
        Query(ge=0, le=MAX_POINTS // PART, description=f"From 0; all but the last have {PART:,} points"),
    ] = 0,
) -> Response:
    """Return a part of the points, in columns: id (float64), x, y (float32), day (int32), cluster (int16), sensor.

    x and y of a point stand together and lie between -1 and 1, or a little beyond. The day counts from 1970 and is
    -2147483648 where unknown; the cluster is -1 between clusters; the sensor is a position in `sensors`.
    """
    chart = service.atlas.chart()
    return Response(chart.part(part), media_type=BINARY, headers={GENERATION: str(chart.generation)})


@router.post(
    "/values",
    responses=_NUMBERS | problems(400, 404, 413, 415, 503),
    response_class=Response,
    summary="A value for each point",
)
def values(service: ServiceDep, body: AtlasValues) -> Response:
    """Return one float32 for each point, in the order of the points: its score for a sentence, or its best class.

    The value is NaN where the filters do not hold; without a sentence and classes, it is 1 elsewhere.
    """
    generation, made = service.atlas.values(body)
    return Response(
        np.ascontiguousarray(made, "<f4").tobytes(), media_type=BINARY, headers={GENERATION: str(generation)}
    )


@router.get("/review", responses=schemas.success(JSON, _REVIEW) | problems(400, 404, 503), summary="What stands out")
def stands_out(
    service: ServiceDep,
    likeness: Annotated[float, Query(ge=0.5, le=1, description="Cosine of near-duplicates")] = LIKENESS,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Most entries of each list")] = LISTED,
) -> Response:
    """Return near-duplicates, outliers, over-represented groups and gaps."""
    return json_response(review(service.searcher, service.atlas.chart(), likeness=likeness, listed=limit))


@router.get("/export", responses=_FILE | problems(400, 404), response_class=Response, summary="The atlas as GeoParquet")
def export(service: ServiceDep) -> Response:
    """Return the atlas as a file that Apple's embedding-atlas opens."""
    parts = _parquet(service)
    # An error while the file is made still becomes a problem document.
    first = next(parts, b"")

    def whole() -> Iterator[bytes]:
        yield first
        yield from parts

    headers = {"Content-Disposition": 'attachment; filename="atlas.parquet"'}
    return StreamingResponse(whole(), media_type=PARQUET, headers=headers)


def _parquet(service: Service) -> Iterator[bytes]:
    # The folder goes when the iterator is closed, also when the client disconnects.
    with tempfile.TemporaryDirectory(prefix="bandsight-atlas-") as folder:
        path = Path(folder) / "atlas.parquet"
        write_parquet(service.archive, service.atlas.chart().atlas, path)
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part
