"""Rejects request bodies that are too large while they arrive, before they fill the memory."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.errors import problem

# Texts, labels and filters.
_JSON_BYTES = 2**20
# JSON with images as base64. Larger images are sent as a form.
_IMAGE_JSON_BYTES = 2**23
# What multipart adds to the files: boundaries, headers, and the JSON field.
_MULTIPART_BYTES = _JSON_BYTES + 2**17
_IMAGE_ROUTES = ("/search", "/search/export", "/searches", "/classify", "/classify/map")
# HTTPStatus.CONTENT_TOO_LARGE exists since Python 3.13.
_TOO_LARGE = 413


def too_large(max_bytes: int) -> HTTPException:
    """Return the error for a body, or a file in it, that is larger than `max_bytes`."""
    return HTTPException(
        _TOO_LARGE, f"upload: larger than the {max_bytes:,} bytes that this server accepts; send a smaller one"
    )


class BodyLimitMiddleware:
    """Responds with 413 to a body over the limit, whether or not the request declares its length."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        takes_images = scope["path"].endswith(_IMAGE_ROUTES)
        limit = stated_limit = _IMAGE_JSON_BYTES if takes_images else _JSON_BYTES
        if takes_images and request.headers.get("content-type", "").lower().startswith("multipart/"):
            limit, stated_limit = self._max_upload_bytes + _MULTIPART_BYTES, self._max_upload_bytes
        error = too_large(stated_limit)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await problem(_TOO_LARGE, error.detail, request)(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        await self._app(scope, receive_counted, send)
