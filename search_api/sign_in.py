"""Routes for browsers to sign in and out, exchanging the key for a session cookie."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bandsight.stac.media_types import JSON
from search_api.caller import address_of
from search_api.dependencies import reject_unknown_params
from search_api.errors import problem
from search_api.logs import audit
from search_api.middleware.access import too_many_wrong_keys
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.sessions import SESSION_S, Sessions

router = APIRouter(tags=["Session"], dependencies=[Depends(reject_unknown_params)])


class SignInBody(BaseModel):
    """Request body of a sign-in."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(min_length=1, max_length=1000, description="A key of this server")]


_SCHEMA = {
    "type": "object",
    "required": ["key_required", "signed_in"],
    "properties": {
        "key_required": {"type": "boolean", "description": "Whether this server has a key"},
        "signed_in": {"type": "boolean", "description": "Whether the request has a valid session cookie"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "Success", "content": {JSON: {"schema": _SCHEMA}}}}


@router.get("/session", responses={**_RESPONSES}, summary="State of the session")
def session(request: Request) -> Response:
    """Return the state of the session. This route needs no key."""
    sessions = _sessions(request)
    signed_in = sessions.key_of(request.cookies.get(sessions.cookie)) is not None
    return _document(sessions, signed_in=signed_in)


@router.post("/session", responses={**_RESPONSES, **problems(400, 401, 403, 413, 415, 429)}, summary="Sign in")
def sign_in(request: Request, body: Annotated[SignInBody, Body()]) -> Response:
    """Exchange a key for a session cookie. Programs send the key with each request instead."""
    sessions, wrong_keys = _sessions(request), request.app.state.limits.wrong_keys
    if not sessions.keys.needs_key:
        return _document(sessions, signed_in=False)
    address = address_of(request.scope)
    wait_s = wrong_keys.wait_s(address)
    if wait_s:
        return too_many_wrong_keys(request, wait_s)
    key = sessions.keys.find(body.key.strip().encode())
    if key is None:
        wrong_keys.count(address)
        audit("key.wrong", client=address, method="POST", path="/session")
        return problem(HTTPStatus.UNAUTHORIZED, "key: not valid on this server", request)
    wrong_keys.remember(address, key.id)
    audit("session.begin", client=address, key=key.name)
    response = _document(sessions, signed_in=True)
    # Without a path, the browser uses the folder of this request, which is also right behind a proxy that serves a
    # sub-path. Lax, so that links in emails open the page; requests that make changes also need an Origin (access.py).
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    response.set_cookie(
        sessions.cookie, sessions.issue(key), max_age=SESSION_S, path=None, secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.delete("/session", responses={**_RESPONSES, **problems(403)}, summary="Sign out")
def sign_out(request: Request) -> Response:
    """Delete the session cookie."""
    sessions = _sessions(request)
    key = sessions.key_of(request.cookies.get(sessions.cookie))
    if key is not None:
        audit("session.end", client=address_of(request.scope), key=key.name)
    response = _document(sessions, signed_in=False)
    if sessions.keys.needs_key:
        response.set_cookie(sessions.cookie, "", max_age=0, path=None, httponly=True, samesite="lax")
    return response


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def _document(sessions: Sessions, *, signed_in: bool) -> Response:
    response = json_response({"key_required": sessions.keys.needs_key, "signed_in": signed_in})
    response.headers["Cache-Control"] = "no-store"
    return response
