"""Makes the app: settings in, FastAPI out."""

import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from bandsight import __version__
from search_api.errors import add_handlers
from search_api.routes import router
from search_api.service import Service, open_service
from search_api.settings import ApiSettings

_log = logging.getLogger(__name__)
_STATIC = Path(__file__).parent / "static"
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

    app = FastAPI(title="Bandsight", version=__version__, description=_ABOUT, lifespan=lifespan)
    add_handlers(app)
    app.include_router(router)
    app.mount("/", StaticFiles(directory=_STATIC, html=True), name="page")
    return app


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
