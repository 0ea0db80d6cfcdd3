"""Routes for operators: liveness, readiness and versions."""

from dataclasses import asdict
from typing import Any

import rasterio
from fastapi import APIRouter

from bandsight import __version__
from search_api.dependencies import ServiceDep
from search_api.problem_schema import problems

router = APIRouter()


@router.get("/healthz", summary="Liveness")
async def healthz() -> dict[str, Any]:
    """Return the versions that bug reports need. Restart the process when it does not respond."""
    # Runs on the event loop: all worker threads may be waiting for slow files.
    return {
        "status": "ok",
        "bandsight": __version__,
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
        "proj": rasterio.__proj_version__,
    }


@router.get("/readyz", summary="Readiness", responses=problems(503))
def readyz(service: ServiceDep) -> dict[str, Any]:
    """Read the catalog and ask the vector engine. After an error, route no queries to this server."""
    service.archive.refresh()
    service.archive.store.ping()
    return {"status": "ok", "generation": service.archive.generation}


@router.get("/version", summary="Versions, model and licence")
def version(service: ServiceDep) -> dict[str, Any]:
    """Return the program's version, the archive's generation, the model and its licence."""
    model, check = service.archive.model, service.searcher.check
    return {
        "bandsight": __version__,
        "generation": service.archive.generation,
        "model": {"name": model.name, "digest": model.digest, "dim": model.dim, "license": model.license},
        "index": service.archive.store.index_figures,
        "recall_check": None if check is None else asdict(check.measured),
    }
