"""Error responses: RFC 9457 problem+json, in one form, without stack traces."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from bandsight.errors import (
    ArchiveError,
    BandsightError,
    BusyError,
    ImageError,
    MissingExtraError,
    ModelMismatchError,
    NotFoundError,
    QueryError,
    SceneError,
    WavelengthError,
)
from bandsight.search.validation import quoted, sentences_of

_log = logging.getLogger(__name__)
# Maximum length of a problem's detail.
_MAX_DETAIL_CHARS = 1500

# Looked up along the __mro__ of an error's class, so a new subclass needs no entry.
_STATUS: dict[type, int] = {
    NotFoundError: 404,
    ImageError: 422,
    QueryError: 400,
    WavelengthError: 400,
    SceneError: 410,
    ModelMismatchError: 409,
    ArchiveError: 503,
    BusyError: 503,
    MissingExtraError: 501,
    BandsightError: 500,
}


def status_of(error: BandsightError) -> int:
    """Return the HTTP status of a Bandsight error."""
    return next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)


def problem(status: int, detail: str, request: Request, error: str | None = None) -> JSONResponse:
    """Return a problem document.

    Args:
        status: HTTP status.
        detail: Message; truncated if too long.
        request: The request.
        error: Name of the error's Python class.
    """
    # The detail may quote a long request, and clients display it.
    detail = detail if len(detail) <= _MAX_DETAIL_CHARS else f"{detail[:_MAX_DETAIL_CHARS]}…"
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **({} if error is None else {"error": error}),
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def add_handlers(app: FastAPI) -> None:
    """Make an app respond to every error with a problem document."""

    @app.exception_handler(BandsightError)
    def _bandsight_error(request: Request, error: BandsightError) -> JSONResponse:
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s: %s", request.url.path, error)
        response = problem(status, str(error), request, type(error).__name__)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = "10"
        return response

    @app.exception_handler(HTTPException)
    def _http_error(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"{quoted(request.url.path)}: not found; /openapi.json lists all paths"
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods(request))
            detail = f"method: found {request.method[:20]}; this path accepts {headers['Allow']}"
        response = problem(error.status_code, detail, request)
        response.headers.update(headers)
        return response

    @app.exception_handler(RequestValidationError)
    def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        wrong_type = _wrong_media_type(request) if any(e["loc"][0] == "body" for e in errors) else None
        if wrong_type is not None:
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, wrong_type, request)
        return problem(HTTPStatus.BAD_REQUEST, sentences_of(errors), request)

    @app.exception_handler(Exception)
    def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s failed", request.url.path, exc_info=error)
        return problem(500, "internal server error; it has been logged", request)


def _methods(request: Request) -> list[str]:
    """Return the methods of a path. Several routes may share a path, but the router reports only the first."""
    scope = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "POST")
        if any(
            # Every GET route also responds to HEAD.
            route.matches({**scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _wrong_media_type(request: Request) -> str | None:
    """Return the message for a wrong media type, or None if it is right or there is no body."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    field = getattr(request.scope.get("route"), "body_field", None)
    needed = getattr(getattr(field, "field_info", None), "media_type", "application/json")
    if getattr(request.state, "media_type_checked", False):
        return None
    is_json = found == "application/json" or (found.startswith("application/") and found.endswith("+json"))
    if needed == found or (needed == "application/json" and is_json) or request.headers.get("content-length") == "0":
        return None
    return f"Content-Type: found {found or 'none'}; this route accepts {needed}"
