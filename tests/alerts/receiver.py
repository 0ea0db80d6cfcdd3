"""A receiver of webhooks on loopback, with configurable responses, which records the requests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random


class Receiver:
    """What was received, and how to answer."""

    def __init__(self) -> None:
        self.status = 200
        self.location: str | None = None
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.url = ""
        # Where it is set, some messages are refused, and some connections dropped after they were received.
        self.unreliable: random.Random | None = None

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


@contextmanager
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.bodies.append(body)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            luck = 1.0 if state.unreliable is None else state.unreliable.random()
            if luck < 0.03:
                self.send_error(500)
                return
            if state.status < 300:
                state.events.append(json.loads(body))
            if luck < 0.06:
                self.close_connection = True
                return
            self.send_response(state.status)
            if state.location is not None:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
