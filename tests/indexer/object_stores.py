"""Object stores in this process that speak just as much S3, GCS and Azure Blob Storage as GDAL needs to read a file."""

import email.utils
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit


class Store(http.server.BaseHTTPRequestHandler):
    """Serves `objects` by their path, ranges of them too, with the ETag of each; anything else is not there."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, tuple[str, bytes]]
    """Path with bucket → (ETag, bytes)."""
    asked: list[tuple[str, str, dict[str, str]]]
    """(method, path, headers in lower case) of every request."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        path = unquote(urlsplit(self.path).path)
        self.asked.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
        found = self.objects.get(path)
        if found is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        etag, data = found
        asked = self.headers.get("Range")
        part = data
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            part = data[int(start) : int(end or len(data) - 1) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", email.utils.formatdate(0, usegmt=True))
        self.send_header("x-ms-blob-type", "BlockBlob")
        self.end_headers()
        if body:
            self.wfile.write(part)


@contextmanager
def serving() -> Iterator[tuple[str, type[Store]]]:
    """Yield `127.0.0.1:PORT` and what is served there."""
    store = type("Here", (Store,), {"objects": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), store)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
