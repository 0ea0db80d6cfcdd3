"""A small reverse proxy on loopback that serves another server under a path, as nginx and Caddy do."""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from threading import Thread
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}


@contextmanager
def proxied(upstream: str | Sequence[str], path: str, *, forwarded: bool, keep_host: bool = False) -> Iterator[int]:
    """Serve a server under a path; yields the port.

    Args:
        upstream: Address of the server, or of several that get requests in turn.
        path: The path, e.g. `/bandsight`; the server does not see it.
        forwarded: Whether to send X-Forwarded headers.
        keep_host: Whether to pass the Host header on, instead of the server's own address.
    """
    targets = cycle([urlsplit(one) for one in ([upstream] if isinstance(upstream, str) else upstream)])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            target = next(targets)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            headers["Host"] = self.headers["host"] if keep_host else target.netloc
            if forwarded:
                headers["X-Forwarded-For"] = self.client_address[0]
                headers["X-Forwarded-Proto"] = "http"
                headers["X-Forwarded-Host"] = self.headers["host"]
                headers["X-Forwarded-Prefix"] = path
            with closing(http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)) as connection:
                connection.request(self.command, self.path.removeprefix(path), body or None, headers)
                response = connection.getresponse()
                data = response.read()
            # A browser that has moved on hangs up before the answer is there.
            with suppress(ConnectionError):
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        do_GET = do_POST = do_DELETE = forward  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
