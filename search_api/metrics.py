"""Prometheus metrics: requests by route and status, their duration, and the state of the archive."""

import math
import time

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.dependencies import ServiceDep

router = APIRouter()
# From a list of ten items to a picture read from a slow disk.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_INTERNAL_ERROR = 500
# All other methods share one label: clients could make up any number of them.
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


class Metrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "bandsight_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "bandsight_http_request_seconds",
            "Time from request to last byte",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.generation = Gauge("bandsight_archive_generation", "Generation of the archive", registry=registry)
        self.vectors = Gauge("bandsight_archive_vectors", "Tiles in the archive", registry=registry)
        self.recall = Gauge(
            "bandsight_search_recall", "Mean recall of the last searches repeated exactly", registry=registry
        )
        self.recall_checks = Gauge(
            "bandsight_search_recall_checks", "Searches repeated exactly since the start", registry=registry
        )

    def text(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times requests. The label is the route, not the path, which clients choose freely."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; record its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), _INTERNAL_ERROR

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - start)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
)
def prometheus_metrics(request: Request, service: ServiceDep) -> Response:
    """Return counters, durations and the state of the archive."""
    metrics: Metrics = request.app.state.metrics
    service.archive.refresh()
    metrics.generation.set(service.archive.generation)
    metrics.vectors.set(service.archive.tile_count)
    check = service.searcher.check
    if check is not None:
        measured = check.measured
        metrics.recall.set(math.nan if measured.recall is None else measured.recall)
        metrics.recall_checks.set(measured.queries)
    return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)
