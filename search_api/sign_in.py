"""Routes for browsers to sign in and out: they exchange the key for a session cookie."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bandsight.stac.links import JSON
from search_api.dependencies import reject_unknown_params
from search_api.errors import problem
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.sessions import SESSION_S, Sessions

router = APIRouter(tags=["Session"], dependencies=[Depends(reject_unknown_params)])


class SignInBody(BaseModel):
    """The body of a sign-in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(min_length=1, max_length=1000, description="The server's key")]


_SCHEMA = {
    "type": "object",
    "required": ["key_required", "signed_in"],
    "properties": {
        "key_required": {"type": "boolean", "description": "Whether this server has a key"},
        "signed_in": {"type": "boolean", "description": "Whether the request has a valid session cookie"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "Success", "content": {JSON: {"schema": _SCHEMA}}}}


@router.get("/session", responses={**_RESPONSES}, summary="Whether a key is needed, and whether this browser has one")
def session(request: Request) -> Response:
    """Return the state of the session. This route needs no key."""
    sessions = _sessions(request)
    signed_in = sessions is not None and sessions.is_session(request.cookies.get(sessions.cookie))
    return _document(sessions, signed_in=signed_in)


@router.post("/session", responses={**_RESPONSES, **problems(400, 401, 403, 415, 429)}, summary="Sign in")
def sign_in(request: Request, body: Annotated[SignInBody, Body()]) -> Response:
    """Exchange the key for a session cookie. Programs send the key with each request instead."""
    sessions, limit = _sessions(request), request.app.state.wrong_keys
    if sessions is None:
        return _document(None, signed_in=False)
    address = request.client.host if request.client else ""
    wait_s = limit.wait_s(address)
    if wait_s:
        response: Response = problem(
            HTTPStatus.TOO_MANY_REQUESTS, f"key: too many wrong keys; try again in {wait_s} seconds", request
        )
        response.headers["Retry-After"] = str(wait_s)
        return response
    if not sessions.is_key(body.key.strip().encode()):
        limit.count(address)
        return problem(HTTPStatus.UNAUTHORIZED, "key: not the key of this server", request)
    response = _document(sessions, signed_in=True)
    # Without a path, the browser takes the folder of this request: also right behind a proxy that serves a sub-path.
    # Lax, so that a link in an e-mail opens the page; requests that change something also need an Origin (access.py).
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(
        sessions.cookie, sessions.issue(), max_age=SESSION_S, path=None, secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.delete("/session", responses={**_RESPONSES, **problems(403)}, summary="Sign out")
def sign_out(request: Request) -> Response:
    """Delete the session cookie."""
    sessions = _sessions(request)
    response = _document(sessions, signed_in=False)
    if sessions is not None:
        response.set_cookie(sessions.cookie, "", max_age=0, path=None, httponly=True, samesite="lax")
    return response


def _sessions(request: Request) -> Sessions | None:
    sessions: Sessions | None = request.app.state.sessions
    return sessions


def _document(sessions: Sessions | None, *, signed_in: bool) -> Response:
    response = json_response({"key_required": sessions is not None, "signed_in": signed_in})
    response.headers["Cache-Control"] = "no-store"
    return response
