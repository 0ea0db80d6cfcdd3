"""Jobs over HTTP, as OGC API - Processes has them (OGC 18-062r2, 7.11 and 7.12): how far each is, and what failed."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.archive import Archive
from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.jobs import Job
from bandsight.stac.links import JSON
from search_api.problem_schema import problems
from search_api.stac.url_params import reject_unknown_params

router = APIRouter(dependencies=[Depends(reject_unknown_params)])
_NEWEST = 100
_USER = re.compile(r"(https?://)[^/\s@]+@")
_URL = re.compile(r"(?P<place>https?://[^\s?]+)(?P<query>\?[^\s):;,]*)?")


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.service.archive
    return archive


@router.get("/jobs", responses=problems(400), summary="Indexing jobs, newest first")
def job_list(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many")] = _NEWEST,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only jobs with a lower id")] = None,
) -> Response:
    """Return what is remembered of jobs; one whose process died is `failed`."""
    found = _archive(request).jobs.newest(limit, before)
    links = [_link("self", "/jobs")]
    if len(found) == limit and found[-1].id > 1:
        links.append(_link("next", f"/jobs?limit={limit}&before={found[-1].id}"))
    return _json({"jobs": [_status(job) for job in found], "links": links})


@router.get("/jobs/{job_id}", responses=problems(400, 404), summary="One job")
def one_job(
    request: Request, job_id: Annotated[int, Path(ge=1, le=MAX_ID, description="Id of a job, from /jobs")]
) -> Response:
    """Return how far a job is, or how it ended, with the scenes that failed in it and why."""
    job = _archive(request).jobs.get(job_id)
    failures = [{"scene": scene, "reason": _masked(reason)} for scene, _, reason in job.failures]
    return _json({**_status(job), "bandsight:failures": failures})


def _status(job: Job) -> dict[str, Any]:
    said, counts = job.as_dict(), job.counts
    share = counts.tiles / counts.tiles_expected if counts.tiles_expected else 0.0
    status = {
        "jobID": str(job.id),
        "processID": job.kind,
        "type": "process",
        "status": job.state,
        "message": _masked(job.message),
        "created": said["started"],
        "started": said["started"],
        "updated": said["updated"],
        "progress": 100 if job.state == "successful" else min(99, int(100 * share)),
        "bandsight:sources": [_masked(source) for source in job.sources],
        "bandsight:counts": said["counts"],
        "links": [_link("self", f"/jobs/{job.id}")],
    }
    return status if said["finished"] is None else {**status, "finished": said["finished"]}


def _masked(text: str) -> str:
    """Return a text with URLs as anybody may see them: users, passwords and signatures are whose job it was."""
    return _URL.sub(lambda found: found["place"] + ("?…" if found["query"] else ""), _USER.sub(r"\1", text))


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "type": JSON, "href": href}


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), media_type=JSON)
