"""Routes for operators: liveness, readiness and versions."""

from dataclasses import asdict
from typing import Any

import rasterio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request

from bandsight import __version__
from search_api.dependencies import ServiceDep, get_service
from search_api.errors import problem
from search_api.problem_schema import problems

router = APIRouter()
_PROBE_THREADS = 2


@router.get("/healthz", summary="Liveness")
async def healthz() -> dict[str, Any]:
    """Return the versions that bug reports need. If it does not respond, restart the process."""
    # Runs on the event loop: all worker threads may be waiting for slow files.
    return {
        "status": "ok",
        "bandsight": __version__,
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
        "proj": rasterio.__proj_version__,
    }


@router.get("/startupz", summary="Startup", responses=problems(503))
async def startupz(request: Request) -> Any:
    """Return whether the server has started: the archive and the model are loaded, or there is no archive yet."""
    if request.app.state.starting:
        return problem(503, "start: the archive is being opened and its model loaded; try again later", request)
    return {"status": "ok" if request.app.state.service is not None else "no archive yet"}


@router.get("/readyz", summary="Readiness", responses=problems(503))
async def readyz(request: Request) -> Any:
    """Check the catalog and the vector engine. After an error, or while the server stops, do not send it queries."""
    if request.app.state.draining:
        return problem(503, "stop: this server is shutting down; send requests to another", request)
    service = get_service(request)

    def ask() -> dict[str, Any]:
        service.archive.refresh()
        service.archive.store.ping()
        return {"status": "ok", "generation": service.archive.generation}

    # Use separate threads, because all others may be waiting for slow files.
    return await to_thread.run_sync(ask, limiter=_limiter(request))


def _limiter(request: Request) -> CapacityLimiter:
    state = request.app.state
    if not hasattr(state, "probes"):
        state.probes = CapacityLimiter(_PROBE_THREADS)
    limiter: CapacityLimiter = state.probes
    return limiter


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
