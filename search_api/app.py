"""The application factory: from settings to a FastAPI app."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from bandsight import __version__
from bandsight.alerts.webhooks import Targets
from bandsight.archive import Archive, archive_exists
from bandsight.errors import BandsightError
from bandsight.export.request import ExportBody
from bandsight.maps.request import ClassifyBody, HeatmapBody
from bandsight.search.request import SaveSearchBody, SearchBody
from bandsight.stac.documents import landing_page
from bandsight.stac.media_types import JSON
from search_api import alerts, atlas, change, health, labels, metrics, overview, sign_in
from search_api.admission import Admission
from search_api.alert_delivery import AlertDelivery
from search_api.basemap import basemap_of
from search_api.counters import Counters
from search_api.errors import add_handlers
from search_api.export.routes import export_router
from search_api.first_run import FirstRunMiddleware
from search_api.imagery import collection_routes, scene_routes, tile_routes
from search_api.instruments import Metrics
from search_api.keys import Key, KeyFile, KeyRing
from search_api.logs import audit
from search_api.maps import change_routes, class_routes, explain, heatmap
from search_api.maps.state import MapState
from search_api.middleware.access import AccessMiddleware
from search_api.middleware.admission import AdmissionMiddleware, BodyBudget
from search_api.middleware.forwarded import ForwardedMiddleware
from search_api.middleware.head import HeadMiddleware
from search_api.middleware.observe import ObserveMiddleware
from search_api.model_reload import add_reload
from search_api.openapi import add_openapi
from search_api.page import BuiltFiles, api_docs, page
from search_api.policies import WORKS
from search_api.processes import routes as processes
from search_api.processes.runner import Runner
from search_api.rate_limits import Limits
from search_api.request_bodies import limit_json_work
from search_api.responses import json_response
from search_api.service import Encoders, Service, open_service
from search_api.sessions import Sessions
from search_api.settings import ApiSettings, check_settings, keys_path, trusted_networks
from search_api.stac import collection_routes as stac_collections
from search_api.stac import routes, schemas, searches, tiles
from search_api.stac.routes import ApiDep
from search_api.stac.state import StacState
from search_api.tracing import trace_requests

# Models of bodies that may also be forms, which FastAPI does not know.
BODY_MODELS = (SearchBody, SaveSearchBody, ExportBody, ClassifyBody, HeatmapBody)
_log = logging.getLogger(__name__)
_MB = 2**20
# Additional threads for files and sign-ins, which do not queue.
_SPARE_THREADS = 8
_COMPRESSED_TYPES = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "image/tiff", atlas.PARQUET, atlas.BINARY)
_DESCRIPTION = """Semantic search for satellite archives: send text, an image or a tile, and get ranked tiles.

Coordinates are lon, lat in EPSG:4326; a bbox is west, south, east, north. Errors are RFC 9457 problem+json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the apps of a process share, one for each archive."""

    metrics: Metrics
    """Metrics of the process."""
    admission: Admission
    """Slots and memory for requests."""
    bodies: BodyBudget
    """Memory for request bodies."""
    counters: Counters
    """Memory for the clients' limits."""
    encoders: Encoders
    """Models in use."""

    @classmethod
    def create(cls, settings: ApiSettings, counters: Counters | None = None) -> "Shared":
        """Create everything as the settings say.

        Args:
            settings: Settings of the server.
            counters: Memory that workers share; None for memory of this process.
        """
        return cls(
            metrics=Metrics(several=bool(settings.archives)),
            admission=Admission(
                WORKS,
                memory_bytes=settings.memory_mb * _MB,
                max_waiting=settings.max_waiting,
                max_waiting_per_client=settings.max_waiting_per_client,
                max_wait_s=settings.queue_wait_s,
            ),
            bodies=BodyBudget(settings.body_memory_mb * _MB),
            counters=counters or Counters(),
            encoders=Encoders(),
        )


def create_app(
    settings: ApiSettings | None = None,
    service: Service | None = None,
    *,
    shared: Shared | None = None,
    name: str | None = None,
) -> FastAPI:
    """Return the app of one archive.

    Args:
        settings: Settings; None to read them from the environment.
        service: An open archive and model, which the caller closes. None to open the archive in the settings at
            startup, or once it exists.
        shared: What it shares with other apps of this process; None without others.
        name: Name of the archive, if the server has several.

    Raises:
        SettingsError: Settings contradict each other or are unsafe, or the keys cannot be read.
    """
    settings = settings or ApiSettings()
    check_settings(settings)
    shared = shared or Shared.create(settings)
    # Replace FastAPI's documentation pages, which load scripts from other hosts.
    app = FastAPI(
        title="Bandsight",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan(settings, service, shared.encoders, alone=name is None),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(limit_json_work)],
    )
    app.state.settings = settings
    app.state.basemap = basemap_of(settings.basemap_url, settings.basemap_attribution)
    app.state.metrics = shared.metrics if name is None else shared.metrics.of_archive(name)
    app.state.admission = shared.admission
    key = settings.key.get_secret_value() if settings.key else None
    keys = KeyRing(key, KeyFile(keys_path(settings)), on_change=_audit_keys)
    app.state.sessions = Sessions(keys, f"{settings.archive}:{settings.port}")
    app.state.limits = Limits(settings.rate, shared.counters, keys_of=name or "")
    app.state.starting = app.state.draining = False
    app.state.service = service
    app.state.runner = None
    _forget(app)
    add_handlers(app)
    add_reload(app, settings, shared.encoders, lambda: _forget(app))
    add_openapi(app, BODY_MODELS)
    _add_middleware(app, settings, shared)
    _add_routes(app)
    app.state.stop_tracing = trace_requests(app) if settings.traces and name is None else None
    return app


def _forget(app: FastAPI) -> None:
    """Reset the archive's caches."""
    app.state.stac = StacState()
    app.state.overviews = overview.OverviewCache()
    app.state.maps = MapState()


def _lifespan(
    settings: ApiSettings, service: Service | None, encoders: Encoders, *, alone: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Admitted requests never wait for a thread.
        to_thread.current_default_thread_limiter().total_tokens = sum(work.slots for work in WORKS) + _SPARE_THREADS
        try:
            app.state.service = service or (
                open_service(settings, encoders) if archive_exists(settings.archive) else None
            )
        except BandsightError as error:
            if alone:
                raise
            # The other archives are served; this one is tried again with each request.
            _log.error("%s", error)
        if alone:
            app.state.metrics.listen()
        if app.state.service is not None and settings.allow_writes and settings.run_jobs:
            app.state.runner = Runner(app.state.service.archive, settings)
            app.state.runner.start()
        delivery = _delivery(app) if settings.deliver_alerts else None
        try:
            yield
        finally:
            if alone:
                app.state.metrics.stop()
            if delivery is not None:
                # It waits for the messages that are being sent.
                await to_thread.run_sync(delivery.close)
            if app.state.stop_tracing is not None:
                # It waits for the last traces to be sent.
                await to_thread.run_sync(app.state.stop_tracing)
            if app.state.runner is not None:
                app.state.runner.close()
            if app.state.service is not None:
                app.state.service.decoder.close()
                app.state.service.pyramids.close()
            if service is None and app.state.service is not None:
                app.state.service.archive.close()

    return lifespan


def _delivery(app: FastAPI) -> AlertDelivery:
    """Start delivering alerts of the archive that is being served."""

    def archive() -> Archive | None:
        service: Service | None = app.state.service
        return None if service is None else service.archive

    made = AlertDelivery(archive, Targets.of_environment(os.environ))
    made.start()
    return made


def _audit_keys(keys: list[Key]) -> None:
    audit("keys.changed", keys=sorted({key.name for key in keys}))


def _add_middleware(app: FastAPI, settings: ApiSettings, shared: Shared) -> None:
    # Starlette runs the middleware that was added last first.
    app.add_middleware(FirstRunMiddleware, owner=app, settings=settings, encoders=shared.encoders)
    app.add_middleware(
        AdmissionMiddleware,
        admission=shared.admission,
        bodies=shared.bodies,
        metrics=app.state.metrics,
        max_upload_bytes=settings.max_upload_bytes,
        body_timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(
        AccessMiddleware,
        sessions=app.state.sessions,
        limits=app.state.limits,
        metrics=app.state.metrics,
        any_host=settings.allow_anonymous,
        public_url=settings.public_url,
        origins=settings.cors_origins,
        basemap=app.state.basemap,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5, exclude_content_types=_COMPRESSED_TYPES)
    app.add_middleware(ObserveMiddleware, metrics=app.state.metrics, origins=settings.cors_origins)
    app.add_middleware(ForwardedMiddleware, trusted=trusted_networks(settings.trusted_proxies))
    app.add_middleware(HeadMiddleware)


def _add_routes(app: FastAPI) -> None:
    for router in (
        tiles.router,
        stac_collections.router,
        routes.router,
        heatmap.router,
        class_routes.router,
        export_router(),
        explain.router,
        searches.router,
        tile_routes.router,
        scene_routes.router,
        collection_routes.router,
        labels.router,
        alerts.router,
        change.router,
        change_routes.router,
        atlas.router,
        overview.router,
        processes.router,
        sign_in.router,
        health.router,
        metrics.router,
    ):
        app.include_router(router)
    app.add_api_route("/docs", api_docs, include_in_schema=False)
    # Not at the root, where the mount would return 404 instead of 405.
    app.mount("/static", BuiltFiles(), name="static")

    @app.get(
        "/", responses=schemas.success(JSON, schemas.CATALOG), summary="Landing page, or the search page in browsers"
    )
    def root(request: Request, api: ApiDep) -> Response:
        """Return the STAC landing page, or the search page to clients that accept HTML."""
        if "text/html" in request.headers.get("accept", ""):
            return page(basemap=app.state.basemap)
        response = json_response(landing_page(api.root, api.names()))
        response.headers["Vary"] = "Accept"
        return response
