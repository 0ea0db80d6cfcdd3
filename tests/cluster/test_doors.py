"""What the page and the clients ask for, on PostgreSQL, Milvus and S3: maps, classes, exports, labels, the atlas.

These are the tests of the same features on a folder, with archives on engines in the place of theirs.
"""

import inspect
import threading
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfile
from types import ModuleType

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive
from bandsight.archive.admin import migrate_archive
from bandsight.archive.config import ArchiveConfig, write_config
from bandsight.atlas.atlas import build, save
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.milvus import search as answering
from tests.archive.makers import entry, filled, vectors
from tests.archive_copies import archive  # noqa: F401  (a fixture)
from tests.atlas import test_doors as atlas_doors
from tests.atlas.makers import KINDS, grouped_archive
from tests.cluster.object_storage import KEYS
from tests.conftest import files_url, milvus_url, postgres_url
from tests.doors import client  # noqa: F401  (a fixture)
from tests.fakes import FakeEmbedder
from tests.learning import test_doors as learning_doors
from tests.learning.makers import SENTENCE, pond_archive
from tests.proxy import proxied
from tests.search_api.export import test_export
from tests.search_api.maps import test_classes, test_heat
from tests.search_api.maps.test_classes import truth  # noqa: F401  (a fixture)
from tests.search_api.stac import test_saved_searches
from tests.search_api.stac.conftest import SCENES, TILES, app_of, served

pytestmark = pytest.mark.cluster
MOST = 60


def needing_only(module: ModuleType, *fixtures: str) -> dict[str, object]:
    """Return the tests of a module that take one of these fixtures, and no others."""
    return {
        name: made
        for name, made in vars(module).items()
        if name.startswith("test_")
        and len(inspect.signature(made).parameters) > 0
        and set(inspect.signature(made).parameters) <= set(fixtures)
    }


for tested in (test_classes, test_export, test_heat, test_saved_searches):
    globals().update(needing_only(tested, "stac", "many", "truth"))
for tested in (atlas_doors, learning_doors):
    # Those of a client; the rest is of files, or of the command line.
    found = needing_only(tested, "client", "archive", "path", "tmp_path", "monkeypatch")
    globals().update({name: made for name, made in found.items() if "client" in inspect.signature(made).parameters})


@pytest.fixture(scope="module", autouse=True)
def engines(postgres_server, milvus_server, s3_server):
    """Returns what names engines that hold nothing yet for a folder; Milvus is asked however few tiles there are."""

    def on_engines(folder: Path) -> Path:
        config = ArchiveConfig(
            folder=folder,
            catalog=postgres_url(postgres_server, "postgis"),
            vectors=milvus_url(milvus_server),
            files=files_url(s3_server, keep_unnamed_s=0),
        )
        write_config(folder / "archive.toml", config)
        return folder

    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.setattr(building, "WORTH_IT", 20)
        patch.setattr(answering, "FEW", 0)
        yield on_engines


@pytest.fixture(scope="module")
def many(engines, tmp_path_factory):
    with filled(engines(tmp_path_factory.mktemp("many")), SCENES, TILES) as writer:
        assert writer.optimize(vectors(5, 40))["index"] == "Milvus HNSW16"
    with Archive.open(writer.path) as made:
        yield made


@pytest.fixture(scope="module")
def stac(many):
    with TestClient(app_of(many), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def path(engines, request, tmp_path):
    """An archive of ponds for the tests of labels, and one with an atlas for those of the atlas, on engines."""
    target = engines(tmp_path / "a")
    of_atlas = "atlas" in request.node.function.__module__
    with grouped_archive(tmp_path / "b") if of_atlas else pond_archive(tmp_path / "b", dates=2) as made:
        if not of_atlas:
            made.labels.create("ponds", {"pond": SENTENCE})
    migrate_archive(tmp_path / "b", target)
    if of_atlas:
        with Archive.open(target) as made:
            save(made, build(made, FakeEmbedder(), words=[*KINDS, "a beach"]))
    return target


def test_replicas_behind_a_proxy_page_through_one_search_while_scenes_come(engines, tmp_path):
    """A machine indexes; two others serve, and a proxy sends each request to the other one of them."""
    writing = engines(tmp_path / "writer")
    with filled(writing, SCENES, TILES) as writer, ExitStack() as stack:
        writer.optimize(vectors(5, 40))
        replicas = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            copyfile(writing / "archive.toml", folder / "archive.toml")
            app = app_of(stack.enter_context(Archive.open(folder)), trusted_proxies=("127.0.0.1",))
            replicas.append(stack.enter_context(served(app)).rstrip("/"))
        port = stack.enter_context(proxied(replicas, "/tools", forwarded=True))
        root, stop, added = f"http://127.0.0.1:{port}/tools", threading.Event(), []
        client = stack.enter_context(httpx.Client(timeout=60))

        def add() -> None:
            while not stop.is_set() and len(added) < MOST:
                writer.add([entry(100 + len(added), TILES)])
                added.append(1)

        adding = threading.Thread(target=add)
        adding.start()
        try:
            for body in (
                {"q": "a lake", "limit": 7},
                {"limit": 7},
                {"q": "a lake", "limit": 5, "collections": ["red"]},
            ):
                pages = walked(client, root, body)
                whole = client.post(f"{root}/search", json={**body, "limit": 1000}).json()
                found = [feature["id"] for page in pages for feature in page["features"]]
                assert len(found) == len(set(found)) >= len(pages) > 2
                # What was there when it began is there to the end, in its order; what comes later is not between.
                assert found == [feature["id"] for feature in whole["features"] if feature["id"] in set(found)]
                assert len(found) >= SCENES * TILES // 3 - 4
        finally:
            stop.set()
            adding.join()
        assert len(added) >= 3
        # What has been committed is served by both at once.
        for _ in range(2):
            newest = client.post(f"{root}/search", json={"limit": 1000}).json()
            assert len(newest["features"]) == (SCENES + len(added)) * (TILES + 1)


def walked(http: httpx.Client, root: str, body: dict) -> list[dict]:
    """Return all pages of a search, by their links."""
    pages, url = [], f"{root}/search"
    while True:
        response = http.post(url, json=body)
        assert response.status_code == 200, response.text
        pages.append(response.json())
        following = [link for link in pages[-1]["links"] if link["rel"] == "next"]
        if not following:
            return pages
        url, body = following[0]["href"], following[0]["body"]
        assert url.startswith(root)
