"""Every error leaves as RFC 9457 problem+json, in one shape, without a stack trace."""

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
_DETAIL_CHARS = 1500

# Looked up along a class's __mro__, so that a new leaf needs no entry.
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
    """Return the HTTP status of an error of ours."""
    return next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)


def problem(status: int, detail: str, request: Request, error: str | None = None) -> JSONResponse:
    """Return a problem document; `error` names the class that Python raises for it."""
    # What was found may be as long as a request; clients show this to people.
    detail = detail if len(detail) <= _DETAIL_CHARS else f"{detail[:_DETAIL_CHARS]}…"
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
    """Give an app the one shape of errors."""

    @app.exception_handler(BandsightError)
    def _ours(request: Request, error: BandsightError) -> JSONResponse:
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s: %s", request.url.path, error)
        answer = problem(status, str(error), request, type(error).__name__)
        if isinstance(error, BusyError):
            answer.headers["Retry-After"] = "10"
        return answer

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"{quoted(request.url.path)}: this server has no such page; /openapi.json describes those it has"
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods(request))
            detail = f"method: found {request.method[:20]}; this page takes {headers['Allow']}"
        answer = problem(error.status_code, detail, request)
        answer.headers.update(headers)
        return answer

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        wrong_type = _wrong_media_type(request) if any(e["loc"][0] == "body" for e in errors) else None
        if wrong_type is not None:
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, wrong_type, request)
        return problem(HTTPStatus.BAD_REQUEST, sentences_of(errors), request)

    @app.exception_handler(Exception)
    def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s failed", request.url.path, exc_info=error)
        return problem(500, "an error of the server, not of the query; it has been logged", request)


def _methods(request: Request) -> list[str]:
    """Return what a path takes: several routes may share it, of which the router knows the first."""
    asked = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "POST")
        if any(
            # HEAD is answered wherever GET is.
            route.matches({**asked, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _wrong_media_type(request: Request) -> str | None:
    """Say which media type a body has and which it needs, None when it has the right one or there is no body."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    field = getattr(request.scope.get("route"), "body_field", None)
    needed = getattr(getattr(field, "field_info", None), "media_type", "application/json")
    if getattr(request.state, "media_type_is_right", False):
        return None
    is_json = found == "application/json" or (found.startswith("application/") and found.endswith("+json"))
    if needed == found or (needed == "application/json" and is_json) or request.headers.get("content-length") == "0":
        return None
    return f"Content-Type: found {found or 'none'}; this route takes {needed}"
