"""Makes the app: settings in, FastAPI out."""

import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from bandsight import __version__
from search_api.body_limit import BodyLimit
from search_api.errors import add_handlers
from search_api.routes import router
from search_api.service import Service, open_service
from search_api.settings import ApiSettings

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).parent / "static"
# The page loads nothing but its own files and the API's answers.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_ABOUT = """Search satellite archives by meaning: a sentence, a picture or a tile in, ranked tiles out.

Coordinates are lon, lat in EPSG:4326; a bbox is west, south, east, north. Errors are RFC 9457 problem+json."""


def create_app(settings: ApiSettings | None = None, service: Service | None = None) -> FastAPI:
    """Return the app.

    Args:
        settings: From the environment when None.
        service: An archive and model that are open already, for tests; the caller closes them.
    """
    chosen = settings or ApiSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service or open_service(chosen)
        if not _is_loopback(chosen.host):
            _log.warning("bound to %s: whoever reaches this address may search; there is no login yet", chosen.host)
        try:
            yield
        finally:
            if service is None:
                app.state.service.archive.close()

    # FastAPI's own pages of documentation load scripts from other hosts; /openapi.json stays.
    app = FastAPI(
        title="Bandsight", version=__version__, description=_ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    add_handlers(app)
    app.add_middleware(BodyLimit, max_upload_bytes=chosen.max_upload_bytes)
    app.include_router(router)
    # Not at the root: a mount there would answer 404 where a route answers 405.
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers=_PAGE_HEADERS)

    return app


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
