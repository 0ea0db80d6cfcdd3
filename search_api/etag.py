"""ETags and cache lifetimes of responses."""

import hashlib
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from bandsight import __version__

_NOT_MODIFIED = 304


def cached(request: Request, identity: Any, make: Callable[[], Response], *, seconds: int) -> Response:
    """Return a response with an ETag, or 304 if the client already has it.

    Args:
        request: The request. Its path and query, the archive and the program's version are part of the ETag.
        identity: What else the response depends on, e.g. the key of a scene or a generation.
        make: Creates the response.
        seconds: How long clients may use the response without revalidation.
    """
    parts = (__version__, request.app.state.service.archive.id, request.url.path, request.url.query, identity)
    tag = f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'
    # Shared caches must not store responses that need a key.
    scope = "private" if request.app.state.sessions.keys.needs_key else "public"
    headers = {"ETag": tag, "Cache-Control": f"{scope}, max-age={seconds}"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    response = make()
    response.headers.update(headers)
    return response


def _matches(header: str, tag: str) -> bool:
    tags = [part.strip().removeprefix("W/") for part in header.split(",")]
    return tag in tags or tags == ["*"]
