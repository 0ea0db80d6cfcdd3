"""Every error leaves as RFC 9457 problem+json, in one shape, without a stack trace."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bandsight.errors import (
    ArchiveError,
    BandsightError,
    ImageError,
    ModelMismatchError,
    NotFoundError,
    QueryError,
    SceneError,
    WavelengthError,
)

_log = logging.getLogger(__name__)

# Looked up along a class's __mro__, so that a new leaf needs no entry.
_STATUS: dict[type, int] = {
    NotFoundError: 404,
    ImageError: 422,
    QueryError: 400,
    WavelengthError: 400,
    SceneError: 410,
    ModelMismatchError: 409,
    ArchiveError: 503,
    BandsightError: 500,
}


def status_of(error: BandsightError) -> int:
    """Return the HTTP status of an error of ours."""
    return next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)


def problem(status: int, detail: str, request: Request) -> JSONResponse:
    """Return a problem document."""
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
        return problem(status, str(error), request)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        answer = problem(error.status_code, str(error.detail), request)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        parts = [f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in error.errors()[:8]]
        return problem(422, "; ".join(parts), request)

    @app.exception_handler(Exception)
    def _unforeseen(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s failed", request.url.path, exc_info=error)
        return problem(500, "an error of the server, not of the query; it has been logged", request)
