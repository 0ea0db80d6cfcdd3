"""Error responses in the OpenAPI document: the schema of a problem, and a description for each status."""

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
        "detail": {"type": "string", "description": "The parameter, what was found and what is allowed"},
        "instance": {"type": "string", "description": "Path of the request"},
        "error": {"type": "string", "description": "Python class of the error, if any"},
    },
}
_DESCRIPTIONS = {
    400: "A parameter or the body is invalid",
    401: "The key is missing or wrong",
    403: "The request comes from the page of another site, or the key lacks the scope of the route",
    404: "Not found",
    405: "The route does not accept this method",
    408: "The body did not arrive in time",
    409: "The archive has vectors of another model",
    410: "The file of the scene is missing",
    413: "The body is too large",
    415: "The route does not accept this media type",
    421: "The server has no key, and the host name is not its own",
    422: "The image cannot be decoded",
    429: "The client exceeded a limit: rate, quota, waiting requests or wrong keys; see `Retry-After` (seconds)",
    503: "The archive cannot be read, or too many requests are waiting; `Retry-After` gives the delay in seconds",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of errors. 401 and 421 are always included, 403 for routes with a body."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = {401, 421} | ({403} if 415 in statuses else set())  # noqa: PLR2004
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content} for status in sorted({*always, *statuses})
    }
