"""The routes: parse, ask, answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Request

from bandsight import __version__
from bandsight.errors import QueryError
from bandsight.labels import check_labels, classify_tiles
from search_api.documented import problems
from search_api.schemas import MAX_ID, ClassifyBody
from search_api.service import Service

router = APIRouter()
_ERRORS = problems(400, 404, 413, 415, 422)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]


@router.post("/classify", responses=_ERRORS, summary="Zero-shot classes")
def classify(service: ServiceDep, body: Annotated[ClassifyBody, Body()]) -> dict[str, Any]:
    """Give tiles the label they fit best, with a probability for each label on its own."""
    names = check_labels([label.strip() for label in body.labels])
    rows = classify_tiles(service.archive, service.encoder, names, body.to_filter())
    return {"labels": names, "matched": len(rows), "tiles": rows[: _limit(service, body.limit)]}


@router.get("/version", summary="Versions, model and licence")
def version(service: ServiceDep) -> dict[str, Any]:
    """Say which program, archive generation and model answer here."""
    model = service.archive.model
    return {
        "bandsight": __version__,
        "generation": service.archive.generation,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": service.archive.index_figures,
    }


def _limit(service: Service, limit: int) -> int:
    if limit > service.settings.max_hits:
        raise QueryError(f"limit: {limit}; at most {service.settings.max_hits} hits in one answer")
    return limit
