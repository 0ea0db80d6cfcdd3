"""Whether the process lives, and whether it can answer: two questions of whoever runs it."""

from typing import Any

import rasterio
from fastapi import APIRouter, Request

from bandsight import __version__
from search_api.problem_schema import problems

router = APIRouter()


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, Any]:
    """Answer, with the versions that bug reports need; a process that cannot is to be started anew."""
    # Not in a thread: those may all wait for slow files.
    return {
        "status": "ok",
        "bandsight": __version__,
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
        "proj": rasterio.__proj_version__,
    }


@router.get("/readyz", summary="Can it answer queries?", responses=problems(503))
def readyz(request: Request) -> dict[str, Any]:
    """Look at the catalog; an error here means that queries would fail, so send none."""
    archive = request.app.state.service.archive
    archive.refresh()
    return {"status": "ok", "generation": archive.generation}
