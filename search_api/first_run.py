"""Serves while the archive does not exist yet: the web page explains what to do, and the API responds with 503."""

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.archive import archive_exists
from bandsight.errors import BandsightError
from search_api.errors import problem
from search_api.page import page
from search_api.service import Encoders, Service, freeze_gc, open_service
from search_api.settings import ApiSettings

_WITHOUT_ARCHIVE = ("/static/", "/healthz", "/startupz", "/session", "/metrics")


class FirstRunMiddleware:
    """Opens the archive once it exists, and handles requests until then."""

    def __init__(self, app: ASGIApp, *, owner: FastAPI, settings: ApiSettings, encoders: Encoders) -> None:
        self._app, self._owner, self._settings, self._encoders = app, owner, settings, encoders
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or explain that there is no archive yet."""
        if scope["type"] != "http" or scope["path"].startswith(_WITHOUT_ARCHIVE) or self._service is not None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        reason = await self._open()
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["path"] == "/" and "text/html" in request.headers.get("accept", ""):
            await page()(scope, receive, send)
        else:
            response = problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, request)
            response.headers["Retry-After"] = "3"
            await response(scope, receive, send)

    @property
    def _service(self) -> Service | None:
        service: Service | None = getattr(self._owner.state, "service", None)
        return service

    async def _open(self) -> str | None:
        """Open the archive. Returns the reason if that is not possible."""
        async with self._lock:
            if self._service is not None:
                return None
            path = self._settings.archive
            try:
                if not await asyncio.to_thread(archive_exists, path):
                    return f"{path}: no archive yet; create one with: bandsight index SCENE --archive {path}"
                self._owner.state.starting = True
                self._owner.state.service = await asyncio.to_thread(open_service, self._settings, self._encoders)
                freeze_gc()
            except BandsightError as error:
                return str(error)
            finally:
                self._owner.state.starting = False
            return None
