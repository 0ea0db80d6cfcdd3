"""Routes of OGC API - Processes (OGC 18-062r2): processes, their execution, jobs and results."""

import json
import mimetypes
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bandsight.archive import Archive
from bandsight.attributes.fields import MAX_ID
from bandsight.catalog.jobs import Job
from bandsight.errors import NotFoundError
from bandsight.stac.media_types import JSON
from search_api.dependencies import ServiceDep, reject_unknown_params, server_url
from search_api.problem_schema import problems
from search_api.processes import documents
from search_api.processes.definitions import process_named
from search_api.processes.runner import Runner
from search_api.processes.sources import check_sources
from search_api.settings import ApiSettings

router = APIRouter(tags=["Processes"], dependencies=[Depends(reject_unknown_params)])
_DEFAULT_LIMIT = 100
_FORBIDDEN = 403
JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of a job, from /jobs")]
ProcessId = Annotated[str, Path(max_length=60, description="Id of a process, from /processes")]


class Execution(BaseModel):
    """Request body of an execution."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(default_factory=dict, description="Inputs, as described by the process")


def may_write(request: Request) -> ApiSettings:
    """Return the settings if jobs are allowed.

    Raises:
        HTTPException: The server does not accept jobs.
    """
    settings: ApiSettings = request.app.state.settings
    if not settings.allow_writes:
        raise HTTPException(
            _FORBIDDEN,
            "jobs: not accepted by this server; its operator can allow them with BANDSIGHT_ALLOW_WRITES=true",
        )
    return settings


WritesDep = Annotated[ApiSettings, Depends(may_write)]


@router.get("/processes", responses=problems(400), summary="Processes")
def process_list() -> Response:
    """Return the processes that the server can run on the archive."""
    return _json(documents.process_list())


@router.get("/processes/{process_id}", responses=problems(400, 404), summary="Process")
def one_process(process_id: ProcessId) -> Response:
    """Return a process with the schemas of its inputs and outputs."""
    return _json(documents.process_description(process_named(process_id)))


@router.post(
    "/processes/{process_id}/execution",
    responses=problems(400, 403, 404, 413, 415, 503),
    status_code=201,
    summary="Run a process",
)
def execute(
    request: Request,
    service: ServiceDep,
    settings: WritesDep,
    process_id: ProcessId,
    body: Annotated[Execution, Body()],
) -> Response:
    """Add a job to the queue, which survives restarts. Its URL is in `Location`."""
    process = process_named(process_id)
    inputs = process.validated(body.inputs)
    sources = process.sources(inputs)
    check_sources(sources, settings.source_roots)
    job_id = service.archive.job_queue.add(process.id, sources, inputs.model_dump(mode="json", exclude_unset=True))
    _tell_runner(request, service.archive, settings)
    response = _json(documents.job_status(service.archive.jobs.get(job_id)), 201)
    response.headers["Location"] = f"{server_url(request)}/jobs/{job_id}"
    return response


@router.get("/jobs", responses=problems(400), summary="Jobs, newest first")
def job_list(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of jobs per page")] = _DEFAULT_LIMIT,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only jobs with a lower id")] = None,
) -> Response:
    """Return the recorded jobs. A job whose process died has the status `failed`."""
    jobs = service.archive.jobs.newest(limit, before)
    links = [documents.link("self", "/jobs")]
    if len(jobs) == limit and jobs[-1].id > 1:
        links.append(documents.link("next", f"/jobs?limit={limit}&before={jobs[-1].id}"))
    return _json({"jobs": [documents.job_status(job) for job in jobs], "links": links})


@router.get("/jobs/{job_id}", responses=problems(400, 404), summary="Job")
def one_job(service: ServiceDep, job_id: JobId) -> Response:
    """Return the progress or outcome of a job, with each failed scene and the reason."""
    return _json(_with_failures(service.archive.jobs.get(job_id)))


@router.delete("/jobs/{job_id}", responses=problems(400, 403, 404, 503), summary="Dismiss a job")
def dismiss(request: Request, service: ServiceDep, settings: WritesDep, job_id: JobId) -> Response:
    """Remove a job from the queue, stop it, or delete a finished job together with its files."""
    job = service.archive.job_queue.dismiss(job_id)
    _tell_runner(request, service.archive, settings)
    return _json(documents.job_status(job))


@router.get("/jobs/{job_id}/results", responses=problems(400, 404), summary="Results of a job")
def results(request: Request, service: ServiceDep, job_id: JobId) -> Response:
    """Return the results of a job: a summary, and links to its files."""
    job = _with_results(service.archive.jobs.get(job_id))
    made = dict(job.results or {})
    files = made.pop("files", [])
    if files:
        made["files"] = [
            {"href": f"{server_url(request)}/jobs/{job_id}/files/{name}", "type": _media_type(name), "title": name}
            for name in files
        ]
    return _json(made)


@router.get(
    "/jobs/{job_id}/files/{name}",
    responses=problems(400, 404),
    response_class=FileResponse,
    summary="Result file of a job",
)
def result_file(
    service: ServiceDep, job_id: JobId, name: Annotated[str, Path(max_length=200, description="Name of the file")]
) -> Response:
    """Return a result file of a job."""
    job = _with_results(service.archive.jobs.get(job_id))
    path = service.archive.job_queue.folder_of(job_id) / name
    # Only recorded names are allowed: no other files in the folder or outside it.
    if name not in (job.results or {}).get("files", []) or not path.is_file():
        raise NotFoundError(f"job {job_id}: has no file {name[:60]!r}; GET /jobs/{job_id}/results lists its files")
    return FileResponse(path, media_type=_media_type(name), filename=name)


def _tell_runner(request: Request, archive: Archive, settings: ApiSettings) -> None:
    """Notify this server's runner. Starts it if there was no archive when the server started."""
    app = request.app
    if app.state.runner is None and settings.run_jobs:
        app.state.runner = Runner(archive, settings)
        app.state.runner.start()
    if app.state.runner is not None:
        app.state.runner.look()


def _with_results(job: Job) -> Job:
    if job.results is None:
        reason = f"is {job.state}" + (f": {documents.masked(job.message)}" if job.message else "")
        raise NotFoundError(f"job {job.id}: has no results, because it {reason}")
    return job


def _with_failures(job: Job) -> dict[str, Any]:
    failures = [{"scene": scene, "reason": documents.masked(reason)} for scene, _, reason in job.failures]
    return {**documents.job_status(job), "bandsight:failures": failures}


def _media_type(name: str) -> str:
    if name.endswith(".parquet"):
        return "application/vnd.apache.parquet"
    if name.endswith(".geojson"):
        return "application/geo+json"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), status, media_type=JSON)
