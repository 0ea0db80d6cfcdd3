"""ETags and how long answers may be kept: a picture changes only with its scene, its parameters or this program."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from bandsight import __version__

if TYPE_CHECKING:
    from search_api.service import Service

_NOT_MODIFIED = 304


def cached(request: Request, identity: Any, make: Callable[[], Response], *, seconds: int) -> Response:
    """Return an answer with its ETag, or 304 where the client has it already.

    Args:
        request: What was asked; its path and query belong to the identity.
        identity: What else the answer depends on, e.g. a scene's key or a generation.
        make: Makes the answer.
        seconds: How long it may be kept without asking again.
    """
    parts = (__version__, request.url.path, request.url.query, identity)
    tag = f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'
    service: Service = request.app.state.service
    # What a key protects is not for caches that others share.
    who = "public" if service.settings.key is None else "private"
    headers = {"ETag": tag, "Cache-Control": f"{who}, max-age={seconds}"}
    if _knows(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    answer = make()
    answer.headers.update(headers)
    return answer


def _knows(header: str, tag: str) -> bool:
    known = [part.strip().removeprefix("W/") for part in header.split(",")]
    return tag in known or known == ["*"]
