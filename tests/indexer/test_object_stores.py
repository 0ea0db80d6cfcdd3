"""Scenes in object stores, through GDAL's own file systems and names of settings."""

import pytest

from bandsight.search.ranking import nearest
from indexer.identity import scene_key
from indexer.pipeline import index
from indexer.remote import remote_version
from indexer.source import Source
from tests.indexer.object_stores import serving
from tests.rasters import picture, write

# Of each scheme: what a user sets in the environment (as gdal.org, "GDAL Virtual File Systems", names it), and where
# the store sees the bucket.
STORES = {
    "s3": (
        {
            "AWS_S3_ENDPOINT": "{host}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-central-1",
        },
        "/bucket/{name}",
    ),
    "gs": (
        {"CPL_GS_ENDPOINT": "http://{host}/", "GS_ACCESS_KEY_ID": "key", "GS_SECRET_ACCESS_KEY": "secret"},
        "/bucket/{name}",
    ),
    "az": (
        {
            "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=account;AccountKey=c2VjcmV0;"
            "BlobEndpoint=http://{host}/account"
        },
        "/account/bucket/{name}",
    ),
}


@pytest.fixture(params=list(STORES))
def store(request, monkeypatch):
    """Yield the scheme, a function that puts an object into the store, and what was asked of it."""
    settings, place = STORES[request.param]
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with serving() as (host, served):
        for name, value in settings.items():
            monkeypatch.setenv(name, value.format(host=host))

        def put(name, data, etag):
            served.objects[place.format(name=name)] = (etag, data)

        yield request.param, put, served.asked


def raster(tmp_path, seed):
    return write(tmp_path / f"{seed}.tif", picture(3, 64, 64, seed=seed)).read_bytes()


def test_a_changed_object_replaces_its_tiles_and_the_same_one_is_left_alone(tmp_path, store, archive, encoder):
    scheme, put, _ = store
    href = f"{scheme}://bucket/folder/a {scheme}.tif"
    name = href.removeprefix(f"{scheme}://bucket/")
    put(name, raster(tmp_path, 0), '"one"')
    first = index([href], archive=archive, model=encoder, isolate=True)
    assert (first.scenes, first.failed) == (1, [])
    assert index([href], archive=archive, model=encoder).skipped_scenes == 1
    old = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    put(name, raster(tmp_path, 4), '"two"')
    assert index([href], archive=archive, model=encoder).scenes == 1
    new = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    assert new
    assert not old & new
    assert [scene.href for scene in archive.scenes()] == [href]


def test_an_object_is_known_by_size_and_etag(store):
    scheme, put, _ = store
    put("b.tif", b"12345", '"one"')
    assert remote_version(f"{scheme}://bucket/b.tif") == '5|"one"'
    put("b.tif", b"12345", '"two"')
    assert remote_version(f"{scheme}://bucket/b.tif") == '5|"two"'
    key = scene_key(Source(name="b", hrefs=(f"{scheme}://bucket/b.tif",)), {})
    put("b.tif", b"123456", '"two"')
    assert scene_key(Source(name="b", hrefs=(f"{scheme}://bucket/b.tif",)), {}) != key


def test_requests_are_signed_with_the_credentials_of_the_environment(store):
    scheme, put, asked = store
    put("c.tif", b"12345", '"one"')
    remote_version(f"{scheme}://bucket/c.tif")
    assert asked
    assert all("authorization" in headers for _, _, headers in asked)


def test_an_object_that_is_not_there_fails_with_its_name(store, archive, encoder):
    scheme, _, _ = store
    summary = index([f"{scheme}://bucket/nothing.tif"], archive=archive, model=encoder)
    assert summary.scenes == 0
    ((_, reason),) = summary.failed
    assert f"{scheme}://bucket/nothing.tif" in reason
