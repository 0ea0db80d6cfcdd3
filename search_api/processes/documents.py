"""The documents of OGC API - Processes (OGC 18-062r2): processes, jobs and their results."""

import re
from typing import Any

from bandsight.catalog.jobs import Job
from bandsight.stac.media_types import JSON
from search_api.processes.definitions import PROCESSES, Process

_RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"
_EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"
_CREDENTIALS = re.compile(r"(https?://)[^/\s@]+@")
_URL = re.compile(r"(?P<path>https?://[^\s?]+)(?P<query>\?[^\s):;,]*)?")


def process_list() -> dict[str, Any]:
    """Return a summary of all processes."""
    return {"processes": [_summary(one) for one in PROCESSES.values()], "links": [link("self", "/processes")]}


def process_description(process: Process) -> dict[str, Any]:
    """Return a process with the schemas of its inputs and outputs."""
    schema = process.inputs.model_json_schema()
    required = schema.get("required", [])
    inputs = {
        name: {
            "title": member.get("title", name),
            "description": member.get("description", name),
            "minOccurs": int(name in required),
            "schema": {key: value for key, value in member.items() if key not in {"title", "description"}},
        }
        for name, member in schema.get("properties", {}).items()
    }
    outputs: dict[str, Any] = {
        "summary": {"title": "Summary", "description": "Summary of the job", "schema": {"type": "object"}}
    }
    if process.files:
        files = {"type": "array", "items": {"type": "object", "required": ["href"]}}
        outputs["files"] = {"title": "Files", "description": "Links to output files", "schema": files}
    return {**_summary(process), "inputs": inputs, "outputs": outputs}


def job_status(job: Job) -> dict[str, Any]:
    """Return the status of a job, with credentials and URL signatures masked."""
    fields, counts = job.as_dict(), job.counts
    by_tiles = counts.tiles / counts.tiles_expected if counts.tiles_expected else 0.0
    share = by_tiles if counts.share is None else counts.share
    status = {
        "jobID": str(job.id),
        "processID": job.kind,
        "type": "process",
        "status": job.state,
        "message": masked(job.message),
        "created": fields["created"] or fields["started"],
        "updated": fields["updated"],
        "progress": 100 if job.state == "successful" else min(99, int(100 * share)),
        "bandsight:sources": [masked(source) for source in job.sources],
        "bandsight:counts": fields["counts"],
        "links": [link("self", f"/jobs/{job.id}")],
    }
    if job.state != "accepted":
        status["started"] = fields["started"]
    if job.results is not None:
        status["links"].append(link(_RESULTS, f"/jobs/{job.id}/results"))
    return status if fields["finished"] is None else {**status, "finished": fields["finished"]}


def masked(text: str) -> str:
    """Mask credentials and query strings (signatures) of URLs in a text."""
    return _URL.sub(lambda url: url["path"] + ("?…" if url["query"] else ""), _CREDENTIALS.sub(r"\1", text))


def link(rel: str, href: str) -> dict[str, str]:
    """Return a link to a JSON document."""
    return {"rel": rel, "type": JSON, "href": href}


def _summary(process: Process) -> dict[str, Any]:
    return {
        "id": process.id,
        "title": process.title,
        "description": process.description,
        "version": "1.0.0",
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["value", "reference"] if process.files else ["value"],
        "links": [link("self", f"/processes/{process.id}"), link(_EXECUTE, f"/processes/{process.id}/execution")],
    }
