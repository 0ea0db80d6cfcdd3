"""Makes the app: settings in, FastAPI out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from bandsight import __version__
from bandsight.export.request import ExportBody
from bandsight.maps.request import ClassifyBody, HeatmapBody
from bandsight.search.request import RegisterBody, SearchBody
from bandsight.stac.documents import landing_page
from bandsight.stac.links import JSON
from search_api import health, imagery, jobs, metrics, overview
from search_api.access import Access, check_exposure
from search_api.errors import add_handlers
from search_api.export.routes import export_router
from search_api.first_run import FirstRun, is_there
from search_api.maps import class_routes, explain
from search_api.maps import heatmap as heat
from search_api.maps.state import MapState
from search_api.metrics import Measured, Metrics
from search_api.middleware.body_limit import BodyLimit
from search_api.middleware.head import Head
from search_api.model_reload import add_reload
from search_api.openapi import describe
from search_api.page import BuiltFiles, page
from search_api.routes import router
from search_api.service import Service, open_service
from search_api.settings import ApiSettings
from search_api.stac import searches, tiles
from search_api.stac.routes import Api, json_answer, stac_router
from search_api.stac.schemas import CATALOG, of
from search_api.stac.state import StacState
from search_api.stac.tiles import archive_api

# Bodies that routes read themselves, because they may come as a form.
BODIES = (SearchBody, RegisterBody, ExportBody, ClassifyBody, HeatmapBody)
_COMPRESSED_ALREADY = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "image/tiff", "application/vnd.apache.parquet")
_ABOUT = """Search satellite archives by meaning: a sentence, a picture or a tile in, ranked tiles out.

Coordinates are lon, lat in EPSG:4326; a bbox is west, south, east, north. Errors are RFC 9457 problem+json."""


def create_app(settings: ApiSettings | None = None, service: Service | None = None) -> FastAPI:
    """Return the app.

    Args:
        settings: From the environment when None.
        service: An archive and model that are open already; the caller closes them. Without one, the archive of the
            settings is opened, now or once it is there.

    Raises:
        SettingsError: The server would listen beyond this machine without a key.
    """
    chosen = settings or ApiSettings()
    check_exposure(chosen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service or (open_service(chosen) if is_there(chosen) else None)
        try:
            yield
        finally:
            if app.state.service is not None:
                app.state.service.decoder.close()
            if service is None and app.state.service is not None:
                app.state.service.archive.close()

    # FastAPI's own pages of documentation load scripts from other hosts; /openapi.json stays.
    app = FastAPI(
        title="Bandsight",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.metrics = Metrics()
    app.state.stac = StacState()
    app.state.overviews = overview.Overviews()
    app.state.maps = MapState()
    add_handlers(app)
    add_reload(app, chosen)
    describe(app, BODIES)
    # The last one added meets a request first.
    app.add_middleware(FirstRun, owner=app, settings=chosen)
    app.add_middleware(BodyLimit, max_upload_bytes=chosen.max_upload_bytes)
    key = chosen.key.get_secret_value() if chosen.key else None
    app.add_middleware(Access, key=key, public_url=chosen.public_url, origins=chosen.cors_origins)
    if chosen.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=chosen.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5, exclude_content_types=_COMPRESSED_ALREADY)
    app.add_middleware(Measured, metrics=app.state.metrics)
    app.add_middleware(Head)
    for part in (
        router,
        tiles.router,
        stac_router(archive_api, landing=False),
        heat.router,
        class_routes.router,
        export_router(),
        explain.router,
        searches.router,
        imagery.router,
        overview.router,
        jobs.router,
        health.router,
        metrics.router,
    ):
        app.include_router(part)
    # Not at the root: a mount there would answer 404 where a route answers 405.
    app.mount("/static", BuiltFiles(), name="static")

    @app.get("/", responses=of(JSON, CATALOG), summary="Landing page; to a browser, the page")
    def root(request: Request, api: Annotated[Api, Depends(archive_api)]) -> Response:
        """Return what this API is and where everything is, or the page to whoever accepts HTML."""
        if "text/html" in request.headers.get("accept", ""):
            return page()
        answer = json_answer(landing_page(api.root, api.names()))
        answer.headers["Vary"] = "Accept"
        return answer

    return app
