"""Receives request bodies, and queues requests for admission."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bandsight.work import cancelled_when
from search_api.admission import Admission, OverloadedError, Ticket
from search_api.caller import caller_of
from search_api.errors import problem
from search_api.instruments import Metrics
from search_api.middleware.body_limit import body_limits, too_large
from search_api.policies import PICTURE, SEARCH, Work, policy_of

GONE = "bandsight.gone"
"""Set in the scope of a request whose client closed the connection before its turn."""
_TIMEOUT, _TOO_LARGE, _TOO_MANY, _UNAVAILABLE = 408, 413, 429, 503


class BodyBudget:
    """Limits the total size of bodies in memory, overall and per client."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes, self.used = total_bytes, 0
        self._by_client: dict[str, int] = {}

    def take(self, client: str, size: int) -> bool:
        """Count received bytes. Returns whether they are within the budget."""
        own = self._by_client.get(client, 0) + size
        if self.used + size > self.total_bytes or own > self.total_bytes // 2:
            return False
        self.used += size
        self._by_client[client] = own
        return True

    def give_back(self, client: str, size: int) -> None:
        """Release the bytes of a finished request."""
        self.used -= size
        left = self._by_client.get(client, 0) - size
        if left > 0:
            self._by_client[client] = left
        else:
            self._by_client.pop(client, None)


class _Body:
    """A received body, replayed to the app; afterwards watches the connection."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.parts: list[bytes] = []
        self.size = 0
        self.gone = False
        """Whether the client has closed the connection."""
        self._sent = False

    async def receive(self) -> Message:
        """Return the body, and then further messages of the connection."""
        if not self._sent:
            self._sent = True
            body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            self.parts = []
            return {"type": "http.request", "body": body, "more_body": False}
        return await self.watch()

    async def watch(self) -> Message:
        """Wait until the client closes the connection."""
        message: Message = {"type": "http.disconnect"}
        if not self.gone:
            message = await self._receive()
            self.gone = message["type"] == "http.disconnect"
        return message


class AdmissionMiddleware:
    """Receives the body, waits for admission, and runs the app.

    408 if the body does not arrive in time, 413 if it is too large, 429 if too many requests of this client are
    waiting, 503 if too many requests are waiting overall. A client that disconnects loses its turn, and its running
    work is cancelled at the next step.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        bodies: BodyBudget,
        metrics: Metrics,
        max_upload_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self._app, self._admission, self._bodies, self._metrics = app, admission, bodies, metrics
        self._max_upload_bytes, self._body_timeout_s = max_upload_bytes, body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request once admitted, or respond with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = caller_of(scope).id
        body = _Body(receive)
        try:
            error = await self._read(scope, body, client) if _has_body(scope) else None
            if error is not None:
                response = problem(error.status_code, error.detail, Request(scope))
                response.headers.update(error.headers or {})
                await response(scope, receive, send)
                return
            if body.gone:
                return
            await self._queue(scope, body, send, client)
        finally:
            self._bodies.give_back(client, body.size)

    async def _read(self, scope: Scope, body: _Body, client: str) -> HTTPException | None:
        """Read the whole body. Returns the error if it is rejected."""
        limit, stated = body_limits(scope, self._max_upload_bytes)
        declared = Request(scope).headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            return too_large(stated)
        try:
            async with asyncio.timeout(self._body_timeout_s):
                more = True
                while more:
                    message = await body._receive()  # noqa: SLF001  (same module)
                    if message["type"] == "http.disconnect":
                        body.gone = True
                        return None
                    part = message.get("body", b"")
                    if body.size + len(part) > limit:
                        return too_large(stated)
                    if not self._bodies.take(client, len(part)):
                        return HTTPException(
                            _UNAVAILABLE,
                            "body: the server is receiving too much data; try again later",
                            {"Retry-After": "5"},
                        )
                    body.size += len(part)
                    body.parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError:
            return HTTPException(
                _TIMEOUT,
                f"body: not received within {self._body_timeout_s:g} s; use a faster connection",
                {"Connection": "close"},
            )
        return None

    async def _queue(self, scope: Scope, body: _Body, send: Send, client: str) -> None:
        work = _work_of(scope, body)
        if not work.waits:
            await self._app(scope, body.receive, send)
            return
        try:
            ticket = await self._turn(work, body, client)
        except OverloadedError as error:
            self._metrics.refused.labels("queue").inc()
            response = problem(_TOO_MANY if error.by_client else _UNAVAILABLE, str(error), Request(scope))
            response.headers["Retry-After"] = str(error.retry_after_s)
            await response(scope, body.receive, send)
            return
        if ticket is None:
            scope[GONE] = True
            return
        try:
            await self._run(scope, body, send, ticket)
        finally:
            self._admission.leave(ticket)

    async def _turn(self, work: Work, body: _Body, client: str) -> Ticket | None:
        """Wait for a turn, or return None if the client disconnects first."""
        ticket = self._admission.enter_now(work, client)
        if ticket is not None:
            return ticket
        waiting = asyncio.ensure_future(self._admission.enter(work, client))
        watching = asyncio.ensure_future(_watch_body(body))
        try:
            await asyncio.wait({waiting, watching}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await _cancel(waiting, self._admission.leave)
            raise
        finally:
            await _cancel(watching)
        if waiting.done():
            return waiting.result()
        await _cancel(waiting, self._admission.leave)
        return None

    async def _run(self, scope: Scope, body: _Body, send: Send, ticket: Ticket) -> None:
        async def send_and_give_back(message: Message) -> None:
            if message["type"] == "http.response.start" and not ticket.work.holds:
                # A slow client keeps its memory, but not its slot.
                self._admission.end_work(ticket)
            await send(message)

        if not ticket.work.is_long:
            await self._app(scope, body.receive, send_and_give_back)
            return
        watching = asyncio.ensure_future(_watch_body(body))
        try:
            with cancelled_when(lambda: body.gone):
                await self._app(scope, body.receive, send_and_give_back)
        finally:
            await _cancel(watching)


def _work_of(scope: Scope, body: _Body) -> Work:
    """Return the kind of work of a request; searches whose bodies may contain images are a separate kind."""
    work = policy_of(scope["method"], scope["path"]).work
    if work is not SEARCH or not body.size:
        return work
    media_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    has_pictures = media_type.lower().startswith(b"multipart/") or any(
        # JSON may escape any character.
        b'"image"' in part or b"\\u" in part
        for part in body.parts
    )
    return PICTURE if has_pictures else work


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def _watch_body(body: _Body) -> None:
    while not body.gone:
        await body.watch()


async def _cancel(
    task: "asyncio.Future[Ticket] | asyncio.Future[None]", undo: Callable[..., None] | None = None
) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, OverloadedError):
        made = await task
        if undo is not None:
            undo(made)
