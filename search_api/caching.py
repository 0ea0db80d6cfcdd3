"""Answers that a client may keep until the archive moves on: an ETag, and 304 to whoever has it."""

import hashlib

from fastapi import Request, Response

_HEADERS = {"Cache-Control": "private, no-cache"}


def etag_of(*parts: object) -> str:
    """Return a tag that tells answers apart by what they are made from."""
    return f'"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def not_modified(request: Request, etag: str) -> Response | None:
    """Return 304 when the client has this answer already."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known:
        return Response(status_code=304, headers={**_HEADERS, "ETag": etag})
    return None


def kept(data: bytes, media_type: str, etag: str) -> Response:
    """Return an answer with its tag."""
    return Response(data, media_type=media_type, headers={**_HEADERS, "ETag": etag})
