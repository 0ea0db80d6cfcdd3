"""Answers HEAD wherever there is a GET (RFC 9110, 9.3.2): the same headers, no body."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MARK = "bandsight.head"


def wants_headers_only(request: Request) -> bool:
    """Say whether a request that comes as GET was HEAD: what costs much need not be made."""
    return _MARK in request.scope


class Head:
    """Middleware: asks for GET, and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on as GET if it is HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def bare(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET", _MARK: True}, receive, bare)
