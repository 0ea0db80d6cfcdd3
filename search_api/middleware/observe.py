"""Observes requests: request ids, metrics, access log, and common response headers."""

import re
import secrets
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.caller import caller_of
from search_api.instruments import Metrics
from search_api.logs import REQUEST_ID, access_line, audit, path_of
from search_api.middleware.admission import GONE
from search_api.policies import Scope as KeyScope
from search_api.policies import policy_of

_INTERNAL_ERROR, _CLIENT_CLOSED = 500, 499
# Other methods share one label, because clients could invent any number of them.
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_CHANGES, _REFUSED = frozenset({KeyScope.WRITE, KeyScope.ADMIN}), frozenset({401, 403, 421, 429})
_ID = re.compile(rb"[\w.:-]{1,64}")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_SAME_ORIGIN, _ANY_ORIGIN = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)


class ObserveMiddleware:
    """Observes requests. Metrics are labelled by route, not by path, which clients choose freely.

    Adds the request id (`X-Request-Id`, kept if a proxy set it), `nosniff`, and
    `Cross-Origin-Resource-Policy`: other sites may embed images only if CORS allows them.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, origins: Sequence[str] = ()) -> None:
        self._app, self._metrics = app, metrics
        self._policy = _ANY_ORIGIN if origins else _SAME_ORIGIN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; record its status, duration and sizes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        start, status, sent = time.perf_counter(), 0, 0
        token = REQUEST_ID.set(request_id)

        async def send_and_record(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                if not any(name == _NOSNIFF[0] for name, _ in headers):
                    headers.append(_NOSNIFF)
                headers += [self._policy, (b"x-request-id", request_id.encode())]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        except BaseException:
            status = status or _INTERNAL_ERROR
            raise
        finally:
            REQUEST_ID.reset(token)
            self._record(scope, request_id, status, sent, time.perf_counter() - start)

    def _record(self, scope: Scope, request_id: str, status: int, sent: int, seconds: float) -> None:
        policy = policy_of(scope["method"], scope["path"])
        if status == 0 or scope.get(GONE):
            status = _CLIENT_CLOSED
            self._metrics.gone.inc()
        route = getattr(scope.get("route"), "path", None) or policy.route or "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(method, route, status, seconds, sent)
        caller = caller_of(scope)
        if policy.scope in _CHANGES and status not in _REFUSED:
            path = path_of(scope)
            audit("change", client=caller.address, key=caller.key or "-", method=method, path=path, status=status)
        access_line(
            id=request_id,
            client=caller.address,
            key=caller.key or "-",
            method=scope["method"][:20],
            route=route,
            path=path_of(scope)[:500],
            status=status,
            ms=round(seconds * 1000, 1),
            received=_declared(scope),
            sent=sent,
        )


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _ID.fullmatch(given) else secrets.token_hex(8)


def _declared(scope: Scope) -> int:
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(value) if value.isdigit() and len(value) <= 15 else 0  # noqa: PLR2004  (digits that fit in 64 bits)
