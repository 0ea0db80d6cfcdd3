"""Answers that a client may keep: an ETag, and 304 to whoever has it."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from bandsight import __version__

if TYPE_CHECKING:
    from search_api.service import Service

_HEADERS = {"Cache-Control": "private, no-cache"}


def etag_of(*parts: object) -> str:
    """Return a tag that tells answers apart by what they are made from."""
    return f'"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def not_modified(request: Request, etag: str) -> Response | None:
    """Return 304 when the client has this answer already."""
    return Response(status_code=304, headers={**_HEADERS, "ETag": etag}) if _knows(request, etag) else None


def kept(data: bytes, media_type: str, etag: str) -> Response:
    """Return an answer with its tag."""
    return Response(data, media_type=media_type, headers={**_HEADERS, "ETag": etag})


def cached(request: Request, identity: Any, make: Callable[[], Response], *, seconds: int) -> Response:
    """Return an answer that changes only with what it is made from, or 304 where the client has it already.

    Args:
        request: What was asked; its path and query belong to the identity.
        identity: What else the answer depends on, e.g. a scene's key.
        make: Makes the answer.
        seconds: How long it may be kept without asking again.
    """
    etag = etag_of(__version__, request.url.path, request.url.query, identity)
    service: Service = request.app.state.service
    # What a key protects is not for caches that others share.
    who = "public" if service.settings.key is None else "private"
    answer = Response(status_code=304) if _knows(request, etag) else make()
    answer.headers.update({"ETag": etag, "Cache-Control": f"{who}, max-age={seconds}"})
    return answer


def _knows(request: Request, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or known == ["*"]
