"""Refuses bodies that are too large, while they arrive: none is kept in full before its size is known."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.errors import problem

# Sentences, labels and filters.
_JSON_BYTES = 2**20
# The same with pictures as base64; larger ones come as a form.
_PICTURE_JSON_BYTES = 2**23
# What multipart adds to the files: boundaries, headers, the JSON beside them.
_MULTIPART_BYTES = _JSON_BYTES + 2**17
_TAKE_PICTURES = ("/search", "/search/export", "/searches", "/classify", "/classify/map")
# Named CONTENT_TOO_LARGE from Python 3.13 on.
_TOO_LARGE = 413


def too_large(allowed: int) -> HTTPException:
    """Return the refusal of a body, or of a file in it."""
    return HTTPException(_TOO_LARGE, f"upload: larger than the {allowed:,} bytes allowed here; send a smaller one")


class BodyLimit:
    """Middleware: 413 for a body over the limit, whether or not its length was declared."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        pictures = scope["path"].endswith(_TAKE_PICTURES)
        limit = allowed = _PICTURE_JSON_BYTES if pictures else _JSON_BYTES
        if pictures and request.headers.get("content-type", "").lower().startswith("multipart/"):
            limit, allowed = self._max_upload_bytes + _MULTIPART_BYTES, self._max_upload_bytes
        refusal = too_large(allowed)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await problem(_TOO_LARGE, refusal.detail, request)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise refusal
            return message

        await self._app(scope, counted, send)
