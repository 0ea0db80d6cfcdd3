"""Several archives on one server, each under /NAME/ with its own keys; they share slots, memory and limits."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from html import escape
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight import __version__
from bandsight.errors import BandsightError
from bandsight.stac.items import VERSION, link
from bandsight.stac.media_types import JSON
from search_api.app import Shared, create_app
from search_api.dependencies import server_url
from search_api.errors import add_handlers, problem
from search_api.health import healthz
from search_api.instruments import CONTENT_TYPE
from search_api.keys import Key, KeyRing
from search_api.metrics import read_metrics
from search_api.middleware.access import AccessMiddleware, key_in
from search_api.middleware.forwarded import PREFIX_KEY, ForwardedMiddleware
from search_api.middleware.head import HeadMiddleware
from search_api.middleware.observe import ObserveMiddleware
from search_api.rate_limits import Limits
from search_api.responses import json_response
from search_api.sessions import Sessions
from search_api.settings import ApiSettings, settings_of, trusted_networks
from search_api.tracing import trace_requests

_TITLE, _ABOUT = "Bandsight", "Archives of satellite imagery that can be searched by meaning."
_PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Bandsight</title><h1>Archives</h1><ul>{}</ul></html>"
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store"}


class ArchivesApp:
    """The app of a server with several archives: it passes each request to the app of its archive."""

    def __init__(self, settings: ApiSettings, shared: Shared | None = None) -> None:
        """Create the apps.

        Args:
            settings: Checked settings with the names of the archives.
            shared: What the apps share; None to create it from the settings.
        """
        shared = shared or Shared.create(settings)
        self.apps = {
            name: create_app(settings_of(settings, name), shared=shared, name=name) for name in settings.archives
        }
        self.front = _front(settings, shared, self.apps)
        self._stop_tracing = trace_requests(self.front, *self.apps.values()) if settings.traces else None
        self.front.router.lifespan_context = self._lifespan

    @property
    def states(self) -> list[State]:
        """The states of all apps."""
        return [self.front.state, *(app.state for app in self.apps.values())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        name, slash, rest = scope.get("path", "").removeprefix("/").partition("/")
        if scope["type"] != "http" or name not in self.apps:
            await self.front(scope, receive, send)
        elif not slash:
            query = scope["query_string"].decode("latin-1")
            await RedirectResponse(f"{name}/{'?' if query else ''}{query}")(scope, receive, send)
        else:
            raw = scope.get("raw_path", b"").removeprefix(b"/" + name.encode())
            own = {**scope, "path": f"/{rest}", "raw_path": raw, PREFIX_KEY: f"/{name}", "bandsight.archive": name}
            await self.apps[name](own, receive, send)

    @asynccontextmanager
    async def _lifespan(self, front: FastAPI) -> AsyncIterator[None]:
        front.state.shared.metrics.listen()
        try:
            async with AsyncExitStack() as apps:
                for app in self.apps.values():
                    await apps.enter_async_context(app.router.lifespan_context(app))
                yield
        finally:
            front.state.shared.metrics.stop()
            if self._stop_tracing is not None:
                await to_thread.run_sync(self._stop_tracing)


class _AllKeys(KeyRing):
    """The keys of all archives: each opens what the server has for its archives."""

    def __init__(self, rings: Sequence[KeyRing]) -> None:
        super().__init__()
        self._rings = rings

    @property
    def needs_key(self) -> bool:
        """Whether no archive is open without a key."""
        return all(ring.needs_key for ring in self._rings)

    def find(self, text: bytes) -> Key | None:
        """Return the key that a client sent, if an archive knows it."""
        return next((key for ring in self._rings if (key := ring.find(text)) is not None), None)

    def by_id(self, key_id: str) -> Key | None:  # noqa: ARG002
        """Return None: sessions belong to one archive."""
        return None


def _front(settings: ApiSettings, shared: Shared, apps: dict[str, FastAPI]) -> FastAPI:
    """Return the app for the server as a whole: the list of archives, health, and metrics."""
    front = FastAPI(title=_TITLE, version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    front.state.settings, front.state.shared, front.state.draining = settings, shared, False
    rings = {name: app.state.sessions.keys for name, app in apps.items()}

    def opened(request: Request) -> list[str]:
        """Return the names of the archives that the request's key opens."""
        key = key_in(request.headers.get("authorization", ""))
        return [
            name
            for name, ring in rings.items()
            if not ring.needs_key or (key is not None and ring.find(key) is not None)
        ]

    def landing(request: Request) -> Response:
        names = opened(request)
        if "text/html" in request.headers.get("accept", ""):
            items = "".join(f'<li><a href="{escape(name)}/">{escape(name)}</a></li>' for name in names)
            return HTMLResponse(_PAGE.format(items), headers=_PAGE_HEADERS | {"Vary": "Accept"})
        root = server_url(request)
        links = [link("self", f"{root}/"), link("root", f"{root}/")]
        links += [link("child", f"{root}/{name}/", title=name) for name in names]
        catalog = {"type": "Catalog", "stac_version": VERSION, "id": "bandsight", "title": _TITLE}
        response = json_response({**catalog, "description": _ABOUT, "links": links}, JSON)
        response.headers["Vary"] = "Accept"
        return response

    def metrics(request: Request) -> Response:
        names = opened(request)
        for name in names:
            read_metrics(apps[name])
        return Response(shared.metrics.text(names), media_type=CONTENT_TYPE)

    async def readyz(request: Request) -> Any:
        if front.state.draining:
            return problem(503, "stop: this server is shutting down; send requests to another", request)
        states = {name: await to_thread.run_sync(_state_of, app) for name, app in apps.items()}
        if "ok" not in states.values():
            found = "; ".join(f"{name}: {state}" for name, state in states.items())
            return problem(503, f"no archive can be read: {found}", request)
        return {"status": "ok", "ready": sum(state == "ok" for state in states.values()), "archives": len(states)}

    front.add_api_route("/", landing)
    front.add_api_route("/metrics", metrics)
    front.add_api_route("/readyz", readyz)
    front.add_api_route("/healthz", healthz)
    front.add_api_route("/startupz", lambda: {"status": "ok"})
    add_handlers(front)
    middleware: list[tuple[Any, dict[str, Any]]] = [
        (
            AccessMiddleware,
            {
                "sessions": Sessions(_AllKeys(list(rings.values()))),
                "limits": Limits(settings.rate, shared.counters),
                "metrics": shared.metrics,
                "any_host": settings.allow_anonymous,
                "public_url": settings.public_url,
                "sign_in": False,
            },
        ),
        (ObserveMiddleware, {"metrics": shared.metrics.of_archive("")}),
        (ForwardedMiddleware, {"trusted": trusted_networks(settings.trusted_proxies)}),
        (HeadMiddleware, {}),
    ]
    for kind, options in middleware:
        front.add_middleware(kind, **options)
    return front


def _state_of(app: FastAPI) -> str:
    """Return `ok` if an archive can be read, else the reason."""
    service = app.state.service
    if service is None:
        return f"{app.state.settings.archive} is not open"
    try:
        service.archive.refresh()
        service.archive.store.ping()
    except BandsightError as error:
        return str(error)
    return "ok"


def app_of(settings: ApiSettings, shared: Shared | None = None) -> ASGIApp:
    """Return the app of a server: of its archive, or of its archives."""
    return ArchivesApp(settings, shared) if settings.archives else create_app(settings, shared=shared)
