"""Route for Prometheus metrics."""

import logging
import math
from collections import Counter

from fastapi import APIRouter, FastAPI, Request, Response

from bandsight.errors import BandsightError
from search_api.instruments import CONTENT_TYPE, Metrics
from search_api.service import Service

router = APIRouter()
_JOB_STATES = ("running", "successful", "failed", "dismissed")
_log = logging.getLogger(__name__)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
)
def prometheus_metrics(request: Request) -> Response:
    """Return metrics of requests and of the archive.

    If the archive cannot be read, `bandsight_archive_readable` is 0 and the other figures remain.
    """
    metrics = read_metrics(request.app)
    own = None if metrics.archive is None else [metrics.archive]
    return Response(metrics.text(own), media_type=CONTENT_TYPE)


def read_metrics(app: FastAPI) -> Metrics:
    """Update the figures of an app's archive and return its metrics."""
    metrics: Metrics = app.state.metrics
    service: Service | None = app.state.service
    metrics.set_process(app.state.admission, None if service is None else service.archive.path)
    try:
        if service is not None:
            _read_archive(metrics, service)
        metrics.set(metrics.reachable, service is not None)
    except (BandsightError, OSError) as error:
        _log.warning("metrics: the archive cannot be read (%s)", error)
        metrics.set(metrics.reachable, 0)
    return metrics


def _read_archive(metrics: Metrics, service: Service) -> None:
    archive = service.archive
    archive.refresh()
    metrics.set(metrics.generation, archive.generation)
    metrics.set(metrics.vectors, archive.tile_count)
    metrics.set(metrics.unindexed, archive.store.unindexed)
    figures = archive.store.index_figures
    metrics.set(metrics.has_index, figures.get("index") != "none")
    for k in ("10", "100"):
        # Indexes of earlier versions have not been measured.
        if (recall := figures.get(f"recall_at_{k}")) is not None:
            metrics.set(metrics.index_recall, recall, k)
    states = Counter[str](job.state for job in archive.jobs.newest(100, None))
    for state in _JOB_STATES:
        metrics.set(metrics.jobs, states.get(state, 0), state)
    check = service.searcher.check
    if check is not None:
        measured = check.measured
        metrics.set(metrics.recall, math.nan if measured.recall is None else measured.recall)
        metrics.set(metrics.recall_checks, measured.queries)
