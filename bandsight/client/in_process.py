"""Calls an app in this process as if it were a server: no port is opened, and answers arrive piece by piece."""

import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

if TYPE_CHECKING:
    from fastapi import FastAPI

# Pieces of an answer that wait for whoever reads it; the app goes on when one is taken.
_WAITING = 8


class InProcess(httpx2.BaseTransport):
    """A transport whose other end is an app; the app runs as long as this is open."""

    def __init__(self, app: "FastAPI") -> None:
        """Start the app.

        Raises:
            BandsightError: What the app's start raises, e.g. that there is no archive.
        """
        self._app = app
        self._open = ExitStack()
        self._portal: BlockingPortal = self._open.enter_context(start_blocking_portal())
        try:
            self._open.enter_context(self._portal.wrap_async_context_manager(app.router.lifespan_context(app)))
        except BaseException:
            self._open.close()
            raise

    def close(self) -> None:
        """Stop the app."""
        self._open.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return an answer as soon as it begins."""
        return _Exchange(self._app, self._portal, request).response()


class _Exchange(httpx2.SyncByteStream):
    """One request and its answer."""

    def __init__(self, app: "FastAPI", portal: BlockingPortal, request: httpx2.Request) -> None:
        self._app, self._request, self._body = app, request, request.read()
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue(_WAITING)
        self._gone = threading.Event()
        self._running = portal.start_task_soon(self._run)

    def response(self) -> httpx2.Response:
        """Return the answer; its body is read later."""
        start = self._messages.get()
        if start is None:
            raise self._broken()
        return httpx2.Response(start["status"], headers=start["headers"], stream=self, request=self._request)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body while the app makes it."""
        more = True
        while (message := self._messages.get()) is not None:
            yield message.get("body", b"")
            more = message.get("more_body", False)
        # A body that ends too early must not pass for a whole one.
        if more:
            raise self._broken()

    def _broken(self) -> httpx2.TransportError:
        return httpx2.RemoteProtocolError(f"the answer broke off: {self._running.exception()}", request=self._request)

    def close(self) -> None:
        """Let go of an answer that nobody reads to its end."""
        self._gone.set()
        while not self._running.done():
            try:
                self._messages.get(timeout=0.05)
            except queue.Empty:
                continue

    async def _run(self) -> None:
        url = self._request.url
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, url.port or 80),
            "client": ("127.0.0.1", 0),
        }
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                # Only once the reader is gone does anybody wait for this.
                while not self._gone.is_set():
                    await anyio.sleep(0.05)
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if not self._gone.is_set():
                await anyio.to_thread.run_sync(self._messages.put, message)

        try:
            await self._app(scope, receive, send)  # type: ignore[arg-type]
        finally:
            await anyio.to_thread.run_sync(self._messages.put, None)
