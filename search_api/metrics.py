"""Route for Prometheus metrics."""

import logging
import math
from collections import Counter

from fastapi import APIRouter, Request, Response

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
    metrics: Metrics = request.app.state.metrics
    service: Service | None = request.app.state.service
    metrics.set_process(request.app.state.admission, None if service is None else service.archive.path)
    try:
        if service is not None:
            _read_archive(metrics, service)
        metrics.reachable.set(service is not None)
    except (BandsightError, OSError) as error:
        _log.warning("metrics: the archive cannot be read (%s)", error)
        metrics.reachable.set(0)
    return Response(metrics.text(), media_type=CONTENT_TYPE)


def _read_archive(metrics: Metrics, service: Service) -> None:
    archive = service.archive
    archive.refresh()
    metrics.generation.set(archive.generation)
    metrics.vectors.set(archive.tile_count)
    metrics.unindexed.set(archive.store.unindexed)
    figures = archive.store.index_figures
    metrics.has_index.set(figures.get("index") != "none")
    for k in ("10", "100"):
        # Indexes of earlier versions have not been measured.
        if (recall := figures.get(f"recall_at_{k}")) is not None:
            metrics.index_recall.labels(k).set(recall)
    states = Counter[str](job.state for job in archive.jobs.newest(100, None))
    for state in _JOB_STATES:
        metrics.jobs.labels(state).set(states.get(state, 0))
    check = service.searcher.check
    if check is not None:
        measured = check.measured
        metrics.recall.set(math.nan if measured.recall is None else measured.recall)
        metrics.recall_checks.set(measured.queries)
