"""What answers here: versions, model, licence."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from bandsight import __version__
from search_api.service import Service

router = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


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
