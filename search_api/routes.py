"""What answers here: versions, model and licence."""

from typing import Any

from fastapi import APIRouter, Request

from bandsight import __version__
from search_api.service import Service

router = APIRouter()


@router.get("/version", summary="Versions, model and licence")
def version(request: Request) -> dict[str, Any]:
    """Say which program, archive generation and model answer here."""
    service: Service = request.app.state.service
    model = service.archive.model
    return {
        "bandsight": __version__,
        "generation": service.archive.generation,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": service.archive.index_figures,
    }
