"""What Prometheus is told: requests by route and status, their time, and the state of the archive."""

import time

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

router = APIRouter()
# From a listing of ten items to a picture cut from a slow disk.
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ERROR = 500
# Others that a client makes up count as one, so that they cannot fill the memory.
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


class Metrics:
    """The figures of one app."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "bandsight_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "bandsight_http_request_seconds",
            "Time from request to last byte",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.generation = Gauge("bandsight_archive_generation", "Number of the commit served", registry=registry)
        self.vectors = Gauge("bandsight_archive_vectors", "Tiles that searches look at", registry=registry)

    def text(self) -> bytes:
        """Return the figures as Prometheus reads them."""
        return generate_latest(self.registry)


class Measured:
    """Middleware: counts and times requests by the route that answered, never by the path that was asked for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), _ERROR

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - began)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Return counters, times and the state of the archive."""
    figures: Metrics = request.app.state.metrics
    archive = request.app.state.service.archive
    archive.refresh()
    figures.generation.set(archive.generation)
    figures.vectors.set(archive.tile_count)
    return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)
