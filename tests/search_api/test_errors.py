"""All errors are RFC 9457 problem+json with type, title, status, detail and instance."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bandsight import errors
from bandsight.archive import Archive
from bandsight.archive.saved_searches import SavedSearches
from search_api.errors import status_of
from tests.rasters import picture, write
from tests.test_query_image import bomb

LIMIT = 30_000


def assert_problem(response: httpx2.Response, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) - {"error"} == {"type", "title", "status", "detail", "instance"}
    if "error" in body:
        assert issubclass(getattr(errors, body["error"]), errors.BandsightError)
    assert body["status"] == status
    assert body["instance"] == response.request.url.path
    assert "Traceback" not in body["detail"]
    assert "\n" not in body["detail"]
    assert len(body["detail"]) < 2000
    for word in words:
        assert word in body["detail"], body["detail"]


def gif() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/search?q=", 400, ["empty"]),
        ("/search?q=%20%20", 400, ["empty"]),
        ("/search?q=" + "a" * 10_000, 400, ["10000", "1000"]),
        ("/search?q=a&limit=0", 400, ["limit"]),
        ("/search?q=a&limit=-1", 400, ["limit", "-1"]),
        ("/search?q=a&limit=many", 400, ["limit"]),
        ("/search?q=a&bbox=1,2,3", 400, ["3 numbers"]),
        ("/search?q=a&bbox=1,2,x,4", 400, ["not a"]),
        ("/search?q=a&bbox=1,nan,3,4", 400, ["not a"]),
        ("/search?q=a&bbox=0,60,1,50", 400, ["north"]),
        ("/search?q=a&bbox=0,0,200,1", 400, ["longitude"]),
        ("/search?q=a&datetime=yesterday", 400, ["YESTERDAY", "2020-05-01"]),
        ("/search?q=a&datetime=2021-01-01T00:00:00Z/2020-01-01T00:00:00Z", 400, ["swap"]),
        ("/search?q=a&datetime=../..", 400, ["interval"]),
        ("/search?q=a&sensors=" + ",".join("abc"[i % 3] for i in range(1001)), 400, ["1001", "1000"]),
        ("/tiles/9999", 404, ["9999"]),
        ("/tiles/0", 404, ["tile 0"]),
        ("/tiles/-1", 400, ["tile_id"]),
        ("/tiles/" + "9" * 30, 400, ["tile_id"]),
        ("/tiles/abc", 400, ["tile_id"]),
        ("/tiles/9999/similar", 404, ["9999"]),
        ("/tiles/1/similar?limit=0", 400, ["limit"]),
        ("/tiles/1/similar?q=a", 400, ["q", "not a parameter of this route"]),
        ("/tiles/9999/thumbnail.png", 404, ["9999"]),
        ("/tiles/1/thumbnail.png?size=100000", 400, ["size"]),
        ("/nowhere", 404, []),
        ("/static/../app.py", 404, []),
        ("/static/%2e%2e/app.py", 404, []),
        ("/nowhere/image", 404, []),
        ("/classify", 405, []),
    ],
)
def test_a_bad_get_is_a_problem(client: TestClient, path: str, status: int, words: list[str]) -> None:
    assert_problem(client.get(path), status, *words)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/search", {"q": ""}, 400, ["q", "empty"]),
        ("/search", {"q": "a" * 10_000}, 400, ["10000"]),
        ("/search", {"q": 5}, 400, ["q"]),
        ("/search", {"txt": "a"}, 400, ["txt"]),
        ("/search", {"q": "a", "semantic": {"ids": [1]}}, 400, ["q, semantic", "both"]),
        ("/search", {"semantic": {}}, 400, ["semantic", "no positive example"]),
        ("/search", {"bbox": [1, 2]}, 400, ["bbox"]),
        ("/search", {"bbox": [float("nan"), 0, 1, 1]}, 400, ["bbox"]),
        ("/search", {"bbox": [0, 0, 1e308, 1]}, 400, ["longitude"]),
        ("/search", {"limit": 0}, 400, ["limit"]),
        ("/search", {"collections": ["c"] * 1001}, 400, ["collections"]),
        ("/search", [1, 2], 400, ["body"]),
        ("/classify", {"labels": []}, 400, ["labels"]),
        ("/classify", {"labels": ["one"]}, 400, ["labels"]),
        ("/classify", {"labels": ["same", "same "]}, 400, ["different"]),
        ("/classify", {"labels": ["a", ""]}, 400, ["empty"]),
        ("/classify", {"labels": ["a", "b" * 2000]}, 400, ["2000"]),
        ("/classify", {"labels": [str(n) for n in range(101)]}, 400, ["labels"]),
        ("/classify", {"labels": ["a", "b"], "limit": 0}, 400, ["limit", "0"]),
    ],
)
def test_a_bad_body_is_a_problem(client: TestClient, path: str, body: object, status: int, words: list[str]) -> None:
    response = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert_problem(response, status, *words)


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b'{"text": "a"', 400), (b"[" * 5000, 400)]
)
def test_malformed_json_is_a_problem(client: TestClient, content: bytes, status: int) -> None:
    assert_problem(client.post("/search", content=content, headers={"Content-Type": "application/json"}), status)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 422, ["empty"]),
        (b"this is no image", 422, ["PNG"]),
        (gif(), 422, ["GIF"]),
        (bomb(40_000, 40_000), 422, ["pixels", "50,000,000"]),
        (bomb(300, 300), 422, ["damaged"]),
        (b"II*\0" + bytes(100), 422, ["TIFF"]),
    ],
)
def test_an_invalid_image_is_a_problem(client: TestClient, data: bytes, status: int, words: list[str]) -> None:
    assert_problem(client.post("/search", files={"image": ("a.png", data)}), status, *words)
    if len(data) < 100_000:
        image = {"data": base64.b64encode(data).decode()}
        assert_problem(client.post("/search", json={"semantic": {"image": image}}), status, *words)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"wavelengths": "0.6,red"}, 400, ["wavelengths", "0.6,red"]),
        ({"wavelengths": "0.6"}, 422, ["wavelengths"]),
        ({"wavelengths": ["0.6", "0.5"]}, 400, ["wavelengths", "2 fields for 1 image"]),
        ({"limit": "3"}, 400, ["limit", "not a field", "body, image, wavelengths"]),
        ({"body": "{"}, 400, ["body", "JSON"]),
        ({"body": "5"}, 400, ["body", "'5'", "object"]),
        ({"body": ["{}", "{}"]}, 400, ["body", "more than one"]),
        ({"body": '{"limit": 0}'}, 400, ["limit"]),
        ({"body": '{"bbox": [1, 2]}'}, 400, ["bbox"]),
        ({"body": '{"datetime": "soon"}'}, 400, ["SOON"]),
        ({"body": '{"semantic": []}'}, 400, ["semantic", "object"]),
        ({"body": '{"q": "a"}'}, 400, ["q, semantic", "both"]),
    ],
)
def test_an_invalid_form_field_next_to_an_image_is_a_problem(
    client: TestClient, fields: dict[str, str | list[str]], status: int, words: list[str]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (32, 32)).save(out, "PNG")
    assert_problem(client.post("/search", files={"image": out.getvalue()}, data=fields), status, *words)


def test_a_form_without_an_image_is_a_problem(client: TestClient) -> None:
    multipart = {"body": (None, "{}")}
    assert_problem(client.post("/search", files=multipart), 400, "image", "missing")
    assert_problem(client.post("/search", files={"image": (None, "text")}), 400, "image", "text")
    assert_problem(client.post("/search", files=[("image", bytes(9))] * 9), 400, "8")
    assert_problem(client.post("/search", data={"limit": "3"}), 415, "urlencoded", "multipart/form-data")
    wrong = client.post("/search", content=b"x", headers={"Content-Type": "image/png"})
    assert_problem(wrong, 415, "Content-Type", "image/png", "multipart/form-data")
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert_problem(client.post("/search", content=b"{}", headers=packed), 415, "Content-Encoding", "gzip")
    broken = {"Content-Type": "multipart/form-data; boundary=b"}
    assert_problem(client.post("/search", content=b"--other\r\n", headers=broken), 400)


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json"])
def test_a_body_of_another_media_type_is_a_problem(client: TestClient, media_type: str) -> None:
    response = client.post("/classify", content=b'{"labels": ["a", "b"]}', headers={"Content-Type": media_type})
    assert_problem(response, 415, "Content-Type", media_type, "application/json")


@pytest.mark.parametrize("path", ["/search", "/tiles/1", "/", "/version"])
def test_a_wrong_method_names_the_right_ones(client: TestClient, path: str) -> None:
    response = client.delete(path)
    assert_problem(response, 405)
    assert "GET" in response.headers["allow"]


def test_an_upload_over_the_limit_is_rejected_by_its_declared_length(serve: Callable[..., TestClient]) -> None:
    with serve(max_upload_bytes=LIMIT) as client:
        response = client.post("/search", files={"image": bytes(LIMIT + 2**21)})
        assert_problem(response, 413, f"{LIMIT:,} bytes")


def test_an_upload_slightly_over_the_limit_is_rejected(serve: Callable[..., TestClient]) -> None:
    with serve(max_upload_bytes=LIMIT) as client:
        assert_problem(client.post("/search", files={"image": bytes(LIMIT + 1)}), 413, f"{LIMIT:,} bytes")
        assert_problem(client.post("/search", files={"image": bytes(LIMIT)}), 422, "unknown image format")


def test_an_upload_of_unknown_length_is_cut_off_at_the_limit(serve: Callable[..., TestClient]) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        while sent < 10 * 2**20:
            sent += 2**16
            yield bytes(2**16)

    with serve(max_upload_bytes=LIMIT) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert_problem(client.post("/search", content=endless(), headers=headers), 413, f"{LIMIT:,} bytes")


def test_json_bodies_have_their_own_size_limit(client: TestClient) -> None:
    assert_problem(client.post("/search", json={"text": "a" * 2**24}), 413, "8,388,608 bytes")
    assert_problem(client.post("/nowhere", json={"text": "a" * 2**21}), 413, "1,048,576 bytes")


def test_an_unexpected_error_is_a_problem_without_a_stack_trace(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret /path/of/the/server")

    monkeypatch.setattr(Archive, "tile", fail)
    response = client.get("/tiles/1")
    assert_problem(response, 500, "logged")
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_a_scene_without_its_file_keeps_its_tiles_but_not_its_thumbnails(
    client: TestClient, archive: Archive, tmp_path: Path
) -> None:
    tile = archive.tile(1)
    path = Path(archive.scene(tile.scene_id).bands[0].href)
    moved = path.rename(tmp_path / path.name)
    try:
        assert client.get("/tiles/1").status_code == 200
        assert_problem(client.get("/tiles/1/thumbnail.png"), 410, path.name)
        write(path, picture(1, 8, 8))
    finally:
        moved.replace(path)
    assert client.get("/tiles/1/thumbnail.png").status_code == 200


def test_every_error_class_has_a_status_and_subclasses_inherit_it() -> None:
    leaves = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.BandsightError)]
    assert all(400 <= status_of(leaf("x")) < 600 for leaf in leaves)

    class NewLeaf(errors.NotFoundError):
        """Has no entry in the table."""

    assert status_of(NewLeaf("x")) == 404


@pytest.mark.parametrize("path", ["/", "/search?limit=1", "/tiles/1/thumbnail.png", "/tiles/1/crop.tif", "/healthz"])
def test_head_has_the_headers_of_get_and_no_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers.get(name) == get.headers.get(name)
    assert client.head("/nowhere").status_code == 404
    assert client.head("/classify").status_code == 405


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/search", "GET, HEAD, POST"),
        ("/searches", "GET, HEAD, POST"),
        ("/searches/0123456789abcdef", "DELETE, GET, HEAD"),
        ("/classify", "POST"),
    ],
)
def test_a_wrong_method_gets_a_list_of_all_methods(client: TestClient, path: str, methods: str) -> None:
    refused = client.put(path)
    assert_problem(refused, 405, "PUT", methods)
    assert refused.headers["allow"] == methods


def test_an_unknown_page_is_named(client: TestClient) -> None:
    assert_problem(client.get("/nowhere/at/all"), 404, "/nowhere/at/all", "/openapi.json")


@pytest.mark.parametrize("path", ["/overview?foo=1", "/jobs?foo=1", "/jobs/1?foo=1"])
def test_unknown_parameters_are_rejected_everywhere(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 400, "foo", "not a parameter")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_an_invalid_form_gets_advice(client: TestClient, kind: str) -> None:
    response = client.post("/search", content=b'{"limit": 1}', headers={"Content-Type": kind})
    assert_problem(response, 400, "body", "boundary", "8 files")


def test_errors_do_not_expose_python_types(client: TestClient) -> None:
    for path, body in (("/classify", {"labels": []}), ("/search", {"semantic": {"text": []}})):
        response = client.post(path, json=body)
        assert_problem(response, 400, "at least")
        assert "constrained" not in response.text
        assert "list[" not in response.text


def test_an_archive_that_cannot_be_written_sends_retry_after(client, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise errors.ArchiveError("catalog.sqlite: database or disk is full")

    monkeypatch.setattr(SavedSearches, "add", full)
    response = client.post("/searches", json={"q": "a pond"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert "disk is full" in response.json()["detail"]
