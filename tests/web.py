"""A web server on loopback that serves a folder as object stores do: with byte ranges; and a small STAC API."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Answer = tuple[int, bytes]


class Site:
    """What a running server serves, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.asked: list[tuple[str, str, bytes]] = []
        self.pages: dict[str, Callable[[bytes], Any]] = {}
        self.failures = 0
        """So many requests for files are answered with 503 first."""

    def file(self, path: str) -> bytes | None:
        place = self.folder / unquote(path).lstrip("/")
        return place.read_bytes() if place.is_file() else None


@contextmanager
def serve(folder: Path) -> Iterator[Site]:
    site = Site(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes = b"", *, with_body: bool = True) -> None:
            path = urlsplit(self.path).path
            site.asked.append((self.command, path, body))
            page = site.pages.get(path)
            data = json.dumps(page(body)).encode() if page else site.file(path)
            if data is None:
                self._send(404, b"", with_body=with_body)
            elif page is None and site.failures > 0:
                site.failures -= 1
                self._send(503, b"", with_body=with_body)
            elif page is None and "Range" in self.headers:
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                end = min(int(last or len(data) - 1), len(data) - 1)
                self._send(206, data[int(first) : end + 1], f"bytes {first}-{end}/{len(data)}", with_body=with_body)
            else:
                self._send(200, data, with_body=with_body)

        def _send(self, status: int, data: bytes, content_range: str = "", *, with_body: bool = True) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "application/json")
            self.send_header("Accept-Ranges", "bytes")
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            if with_body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
