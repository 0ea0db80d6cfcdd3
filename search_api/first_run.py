"""Before there is an archive: the page says what to do, programs get a 503, and the server goes on once it is there."""

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.archive import archive_exists
from bandsight.errors import BandsightError
from search_api.errors import problem
from search_api.page import page
from search_api.service import Service, freeze_gc, open_service
from search_api.settings import ApiSettings

_WITHOUT_ARCHIVE = ("/static/", "/healthz")


def is_there(settings: ApiSettings) -> bool:
    """Say whether the archive exists, in whatever state."""
    return archive_exists(settings.archive)


class FirstRun:
    """Middleware: opens the archive as soon as it is there, and answers in its place until then."""

    def __init__(self, app: ASGIApp, *, owner: FastAPI, settings: ApiSettings) -> None:
        self._app, self._owner, self._settings = app, owner, settings
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or say that there is no archive yet."""
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
            answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, request)
            answer.headers["Retry-After"] = "3"
            await answer(scope, receive, send)

    @property
    def _service(self) -> Service | None:
        found: Service | None = getattr(self._owner.state, "service", None)
        return found

    async def _open(self) -> str | None:
        """Open the archive if it is there; return why not."""
        async with self._lock:
            if self._service is not None:
                return None
            path = self._settings.archive
            if not is_there(self._settings):
                return f"{path}: no archive yet; make one with: bandsight index SCENE --archive {path}"
            try:
                self._owner.state.service = await asyncio.to_thread(open_service, self._settings)
                freeze_gc()
            except BandsightError as error:
                return str(error)
            return None
