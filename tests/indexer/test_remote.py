"""Remote scenes: how changes are detected."""

import functools
import http.server
import socket
import threading
from pathlib import Path

import pytest

from bandsight.errors import SceneError
from bandsight.raster.drivers import open_raster
from bandsight.search.ranking import nearest
from indexer import pipeline
from indexer.identity import scene_key
from indexer.pipeline import index
from indexer.reader_pool import InlineReader, RetryingReader
from indexer.remote import remote_version
from indexer.source import Source
from indexer.sources import check_inputs, find_scenes
from tests.rasters import picture, write


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves files, ranges of them too, with the ETag that the test gives."""

    etag: str | None = '"1"'
    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.asked.append(self.path)
        super().do_HEAD()

    def do_GET(self):
        data = Path(self.translate_path(self.path)).read_bytes()
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = data[int(start) : int(end or len(data) - 1) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def end_headers(self):
        self.send_header("Accept-Ranges", "bytes")
        if self.etag:
            self.send_header("ETag", self.etag)
        super().end_headers()


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "served").mkdir()
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setattr(Server, "etag", '"1"')
    monkeypatch.setattr(Server, "asked", [])
    made = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Server, directory=str(tmp_path / "served"))
    )
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_changed_remote_scene_replaces_its_tiles_and_the_same_one_is_left_alone(
    tmp_path, server, archive, encoder, monkeypatch
):
    write(tmp_path / "served" / "a.tif", picture(3, 64, 64))
    href = f"{server}/a.tif"
    assert index([href], archive=archive, model=encoder).scenes == 1
    assert index([href], archive=archive, model=encoder).skipped_scenes == 1
    old = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    write(tmp_path / "served" / "a.tif", picture(3, 64, 64, seed=4))
    monkeypatch.setattr(Server, "etag", '"2"')
    assert index([href], archive=archive, model=encoder).scenes == 1
    new = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    assert not old & new
    assert len(archive.scenes()) == 1


def test_the_version_is_size_and_etag_or_time_of_change(tmp_path, server, monkeypatch):
    (tmp_path / "served" / "a.tif").write_bytes(b"12345")
    assert remote_version(f"{server}/a.tif") == '5|"1"'
    monkeypatch.setattr(Server, "etag", None)
    assert remote_version(f"{server}/a.tif").startswith("5|")
    assert "GMT" in remote_version(f"{server}/a.tif")
    assert remote_version(f"{server}/not-there.tif") == ""


def test_what_a_stac_item_says_of_its_version_is_not_asked_for(server):
    source = Source(name="a", hrefs=(f"{server}/a.tif",), version="2022-01-01T00:00:00Z")
    key = scene_key(source, {})
    assert Server.asked == []
    other = Source(name="a", hrefs=(f"{server}/a.tif",), version="2022-01-02T00:00:00Z")
    assert scene_key(other, {}) != key


@pytest.fixture
def no_server(monkeypatch):
    """An address at which no one listens."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("isolate", [False, True])
def test_a_refused_connection_is_tried_again_and_then_said(no_server, archive, encoder, monkeypatch, isolate):
    monkeypatch.setattr(pipeline, "RetryingReader", functools.partial(RetryingReader, pauses_s=(0.01, 0.01)))
    summary = index([f"http://{no_server}/a.tif"], archive=archive, model=encoder, isolate=isolate)
    ((name, reason),) = summary.failed
    assert name == "a.tif"
    assert "cannot connect to the server" in reason
    assert "does not exist" not in reason


def test_a_server_that_comes_back_between_two_tries_is_noticed(tmp_path, no_server):
    write(tmp_path / "a.tif", picture(3, 64, 64))
    href, begun = f"http://{no_server}/a.tif", []

    def opened(source):
        try:
            return open_raster(source.hrefs[0]).count
        except SceneError:
            served = functools.partial(Server, directory=str(tmp_path))
            begun.append(http.server.ThreadingHTTPServer(("127.0.0.1", int(no_server.split(":")[1])), served))
            threading.Thread(target=begun[0].serve_forever, daemon=True).start()
            raise

    assert RetryingReader(InlineReader(), pauses_s=(0.1,)).call(opened, Source(name="a", hrefs=(href,))) == 3
    begun[0].shutdown()
    begun[0].server_close()


@pytest.mark.parametrize(
    ("href", "needed"),
    [
        ("s3://", "the bucket is missing; need s3://BUCKET/"),
        ("gs:///a.tif", "the bucket is missing; need gs://BUCKET/"),
        ("az://", "the container is missing; need az://CONTAINER/"),
        ("s3://bucket", "names a bucket but no file in it; need s3://BUCKET/"),
        ("https://", "the server is missing; need https://SERVER/"),
    ],
)
def test_a_url_that_names_no_file_is_refused_and_not_tried_again(archive, encoder, monkeypatch, href, needed):
    monkeypatch.setattr(pipeline, "RetryingReader", functools.partial(RetryingReader, pauses_s=(60.0,)))
    with pytest.raises(SceneError, match=needed):
        check_inputs([href])
    with pytest.raises(SceneError, match=needed):
        find_scenes([href])[0].check()
    ((_, reason),) = index([href], archive=archive, model=encoder).failed
    assert needed in reason
