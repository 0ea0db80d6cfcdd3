"""Every error leaves as RFC 9457 problem+json, in one shape, without a stack trace."""

import logging
import re
from http import HTTPStatus
from typing import Any

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

_log = logging.getLogger(__name__)
# Of a wrong value, and of a list of wrong values, so much is said.
_SHOWN_CHARS, _SHOWN_ERRORS = 60, 8
_DETAIL_CHARS = 1500
_BOUNDS = ("greater_than_equal", "less_than_equal")
_TYPE = re.compile(r"(?:list|dict)\[.*\]|constrained-\w+|str|bool")

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


def problem(status: int, detail: str, request: Request) -> JSONResponse:
    """Return a problem document."""
    # What was found may be as long as a request; clients show this to people.
    detail = detail if len(detail) <= _DETAIL_CHARS else f"{detail[:_DETAIL_CHARS]}…"
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def add_handlers(app: FastAPI) -> None:
    """Give an app the one shape of errors."""

    @app.exception_handler(BandsightError)
    def _ours(request: Request, error: BandsightError) -> JSONResponse:
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s: %s", request.url.path, error)
        answer = problem(status, str(error), request)
        if isinstance(error, BusyError):
            answer.headers["Retry-After"] = "10"
        return answer

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"{shown(request.url.path)}: this server has no such page; /openapi.json describes those it has"
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
        return problem(HTTPStatus.BAD_REQUEST, "; ".join(_sentence(e) for e in errors[:_SHOWN_ERRORS]), request)

    @app.exception_handler(Exception)
    def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s failed", request.url.path, exc_info=error)
        return problem(500, "an error of the server, not of the query; it has been logged", request)


def shown(value: object) -> str:
    """Return a wrong value as an error quotes it, cut where it is long."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _sentence(error: dict[str, Any]) -> str:
    """Say which parameter it is, what was found and what is allowed."""
    where, *steps = error["loc"]
    # Of a value that may be of several types, pydantic names the one that it tried.
    named = [step for step in map(str, steps) if not _TYPE.fullmatch(step)] if where == "body" else steps
    name = ".".join(str(step) for step in named if not isinstance(step, int)) or str(where)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "missing":
        return f"{name}: missing; this route needs it"
    if error["type"] == "json_invalid":
        return f"body: not JSON ({error.get('ctx', {}).get('error', message)})"
    found = error.get("input")
    # A number of a URL that was read as one is shown as one: by GET and POST it is wrong in the same words.
    text = _cut(found) if error["type"] in _BOUNDS and isinstance(found, str) else shown(found)
    return f"{name}: found {text}; {message[:1].lower()}{message[1:]}"


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
