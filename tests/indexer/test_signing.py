"""URLs of Azure Blob Storage are signed with tokens of an endpoint, renewed before they expire; all on loopback."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from bandsight.errors import SceneError
from bandsight.raster import signing
from bandsight.raster.drivers import gdal_name
from bandsight.raster.open_files import OpenFiles
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

MINUTE = timedelta(minutes=1)


class Storage:
    """A storage that answers only to the newest token, and the endpoint that gives them."""

    def __init__(self, folder):
        self.folder, self.lasts, self.given, self.refused = folder, 60 * MINUTE, 0, 0
        self.url = self.host = ""

    def answer(self, path, query):
        if path.startswith("/token/"):
            if path != "/token/account/scenes":
                return 404, b"{}"
            self.given += 1
            until = datetime.now(UTC) + self.lasts
            return 200, json.dumps(
                {"msft:expiry": until.isoformat(), "token": f"sv=1&sig=number-{self.given}"}
            ).encode()
        if path.startswith("/account/scenes/") and parse_qs(query).get("sig") != [f"number-{self.given}"]:
            self.refused += 1
            return 403, b""
        file = self.folder / path.rsplit("/", 1)[-1]
        return (200, file.read_bytes()) if file.is_file() else (404, b"")


@pytest.fixture
def storage(tmp_path, monkeypatch):
    made = Storage(tmp_path / "blobs")
    write(made.folder / "a.tif", picture(3, 64, 64))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET(body=False)

        def do_GET(self, *, body=True):
            parts = urlsplit(self.path)
            status, data = made.answer(parts.path, parts.query)
            if status == 200 and "Range" in self.headers:
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                total, status = len(data), 206
                data = data[int(first) : int(last or total - 1) + 1]
                self.send_response(status)
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{total}")
            else:
                self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.host = f"127.0.0.1:{server.server_address[1]}"
    made.url = f"http://{made.host}"
    monkeypatch.setenv("BANDSIGHT_SAS_TOKEN_URL", f"{made.url}/token/")
    monkeypatch.setenv("BANDSIGHT_SAS_HOST", made.host)
    yield made
    server.shutdown()
    server.server_close()


def test_a_scene_is_indexed_under_its_url_without_the_token_that_opens_it(storage, archive, encoder, tmp_path):
    url = f"{storage.url}/account/scenes/a.tif"
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "collection": "scenes",
        "geometry": None,
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "links": [],
        "assets": {"image": {"href": url, "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }
    (tmp_path / "item.json").write_text(json.dumps(item))
    # In a reader process.
    summary = index([tmp_path / "item.json"], archive=archive, model=encoder, isolate=True)
    assert summary.failed == []
    (scene,) = archive.scenes()
    assert scene.href == url
    assert "sig=" not in json.dumps(scene.source) + json.dumps(scene.decisions)
    assert storage.refused == 0


def test_a_token_is_fetched_once_and_again_before_it_expires(storage):
    url = f"{storage.url}/account/scenes/a.tif"
    (source,) = find_scenes([url])
    scene = open_scene(source, "key", tiling={})
    assert storage.given == 1
    with OpenFiles() as files:
        before = files.dataset(url, scene.raster)
        assert files.dataset(url, scene.raster) is before
        # As if the time were nearly over.
        ((key, (token, _)),) = [known for known in signing._tokens.items() if storage.url in known[0][0]]
        signing._tokens[key] = token, datetime.now(UTC) + MINUTE
        after = files.dataset(url, scene.raster)
        assert after is not before
        assert after.read(1).shape == (64, 64)
    assert (storage.given, storage.refused) == (2, 0)


def test_signatures_of_the_catalogue_are_kept_until_they_expire(storage):
    url = f"{storage.url}/account/scenes/a.tif"
    later, now = (f"{datetime.now(UTC) + minutes * MINUTE:%Y-%m-%dT%H:%M:%SZ}" for minutes in (60, 1))
    assert signing.signed(f"{url}?se={later}&sig=own") == f"{url}?se={later}&sig=own"
    assert signing.signed(f"{url}?se={now}&sig=own") == f"{url}?sv=1&sig=number-1"


def test_what_the_endpoint_has_no_token_for_is_read_as_it_is(storage, monkeypatch):
    other = f"{storage.url}/account/public/a.tif"
    assert signing.signed(other) == other
    assert signing.signed("https://example.org/a.tif") == "https://example.org/a.tif"
    assert gdal_name("s3://bucket/a.tif") == "/vsis3/bucket/a.tif"
    monkeypatch.delenv("BANDSIGHT_SAS_TOKEN_URL")
    assert signing.signed(f"{storage.url}/account/scenes/a.tif") == f"{storage.url}/account/scenes/a.tif"
    azure = "https://naipeuwest.blob.core.windows.net/naip/v002/a.tif"
    assert signing._container(azure) == ("naipeuwest", "naip")


def test_an_endpoint_that_does_not_answer_is_named_in_one_sentence(storage, monkeypatch):
    monkeypatch.setenv("BANDSIGHT_SAS_TOKEN_URL", "http://127.0.0.1:1/token")
    (source,) = find_scenes([f"{storage.url}/account/scenes/a.tif"])
    with pytest.raises(SceneError, match=r"no token \(.*check BANDSIGHT_SAS_TOKEN_URL and the network"):
        open_scene(source, "key", tiling={})


def test_a_refusal_shows_no_signature(storage):
    (storage.folder / "b.tif").write_bytes(b"no raster at all")
    (source,) = find_scenes([f"{storage.url}/account/scenes/b.tif"])
    with pytest.raises(SceneError) as refused:
        open_scene(source, "key", tiling={})
    assert "sig=" not in str(refused.value)
