"""How errors stand in the OpenAPI document: one shape, one sentence for each status."""

from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "instance"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was found, what is allowed, and where"},
        "instance": {"type": "string", "description": "The path that was asked for"},
        "error": {"type": "string", "description": "Class of the error in Python, where it has one"},
    },
}
_WHEN = {
    400: "A parameter or the body cannot be answered as asked",
    401: "The server's key is missing",
    403: "Another site's page has sent it",
    404: "There is no such thing here",
    405: "The route does not take this method",
    409: "The archive holds vectors of another model",
    410: "The scene's file is gone",
    413: "The body is too large",
    415: "The body is of another media type than the route takes",
    421: "The host is not this server's, which has no key",
    422: "The picture cannot be decoded",
    503: "The archive cannot be read, or others' pictures are being decoded; `Retry-After` says when to ask again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of its errors: 401 and 421 everywhere, 403 where there are bodies."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = {401, 421} | ({403} if 415 in statuses else set())  # noqa: PLR2004
    return {status: {"description": _WHEN[status], "content": content} for status in sorted({*always, *statuses})}
