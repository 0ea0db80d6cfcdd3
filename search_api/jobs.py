"""Routes for indexing jobs, as in OGC API - Processes (OGC 18-062r2, 7.11 and 7.12): progress and failed scenes."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.jobs import Job
from bandsight.stac.links import JSON
from search_api.dependencies import ServiceDep, reject_unknown_params
from search_api.problem_schema import problems

router = APIRouter(dependencies=[Depends(reject_unknown_params)])
_DEFAULT_LIMIT = 100
_CREDENTIALS = re.compile(r"(https?://)[^/\s@]+@")
_URL = re.compile(r"(?P<path>https?://[^\s?]+)(?P<query>\?[^\s):;,]*)?")


@router.get("/jobs", responses=problems(400), summary="Indexing jobs, newest first")
def job_list(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most jobs per page")] = _DEFAULT_LIMIT,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only jobs with a lower id")] = None,
) -> Response:
    """Return the recorded jobs. A job whose process died has the status `failed`."""
    jobs = service.archive.jobs.newest(limit, before)
    links = [_link("self", "/jobs")]
    if len(jobs) == limit and jobs[-1].id > 1:
        links.append(_link("next", f"/jobs?limit={limit}&before={jobs[-1].id}"))
    return _json({"jobs": [_status(job) for job in jobs], "links": links})


@router.get("/jobs/{job_id}", responses=problems(400, 404), summary="One job")
def one_job(
    service: ServiceDep, job_id: Annotated[int, Path(ge=1, le=MAX_ID, description="Id of a job, from /jobs")]
) -> Response:
    """Return the progress or outcome of a job, and each failed scene with the reason."""
    job = service.archive.jobs.get(job_id)
    failures = [{"scene": scene, "reason": _masked(reason)} for scene, _, reason in job.failures]
    return _json({**_status(job), "bandsight:failures": failures})


def _status(job: Job) -> dict[str, Any]:
    fields, counts = job.as_dict(), job.counts
    share = counts.tiles / counts.tiles_expected if counts.tiles_expected else 0.0
    status = {
        "jobID": str(job.id),
        "processID": job.kind,
        "type": "process",
        "status": job.state,
        "message": _masked(job.message),
        "created": fields["started"],
        "started": fields["started"],
        "updated": fields["updated"],
        "progress": 100 if job.state == "successful" else min(99, int(100 * share)),
        "bandsight:sources": [_masked(source) for source in job.sources],
        "bandsight:counts": fields["counts"],
        "links": [_link("self", f"/jobs/{job.id}")],
    }
    return status if fields["finished"] is None else {**status, "finished": fields["finished"]}


def _masked(text: str) -> str:
    """Return a text without the credentials and query strings (signatures) of its URLs."""
    return _URL.sub(lambda url: url["path"] + ("?…" if url["query"] else ""), _CREDENTIALS.sub(r"\1", text))


def _link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "type": JSON, "href": href}


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), media_type=JSON)
