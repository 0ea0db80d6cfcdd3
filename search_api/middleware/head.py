"""Supports HEAD for every GET route (RFC 9110, 9.3.2): same headers, no body."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SCOPE_KEY = "bandsight.head"


def is_head(request: Request) -> bool:
    """Return whether a request was HEAD before this middleware turned it into GET; routes can skip costly bodies."""
    return _SCOPE_KEY in request.scope


class HeadMiddleware:
    """Turns HEAD into GET for the app, and drops the body of the response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as GET if it is HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET", _SCOPE_KEY: True}, receive, send_without_body)
