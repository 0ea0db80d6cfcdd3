"""The examples in docs/proxy.md, run by nginx and Caddy themselves where they are installed."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from bandsight.archive import Archive
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder
from tests.search_api.stac.conftest import served

DOCS = Path(__file__).parents[2] / "docs" / "proxy.md"
KEY = "correct horse battery"


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def nginx(folder: Path, upstream: str, port: int) -> list[str]:
    # Without TLS, for which the test has no certificate.
    server = re.sub(r"\n *ssl_certificate.*", "", example("nginx"))
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port}").replace("http://127.0.0.1:8000", upstream)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}{server} }}\n"
    )
    return ["nginx", "-e", f"{folder}/log", "-c", str(config)]


def caddy(folder: Path, upstream: str, port: int) -> list[str]:
    site = example("caddy").replace("example.org {", f"http://127.0.0.1:{port}, http://example.org:{port} {{")
    site = site.replace("127.0.0.1:8000", upstream.removeprefix("http://"))
    config = folder / "Caddyfile"
    config.write_text(f"{{\n    admin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        for _ in range(100):
            assert process.poll() is None, (folder / "out").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("configure", [nginx, caddy], ids=["nginx", "caddy"])
def test_the_examples_serve_the_page_and_absolute_links(
    archive: Archive, tmp_path: Path, configure: Callable[[Path, str, int], list[str]]
) -> None:
    if shutil.which(configure.__name__, path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip(f"{configure.__name__} is not installed")
    settings = ApiSettings(archive=archive.path, key=SecretStr(KEY), trusted_proxies=("127.0.0.1",))
    port = free_port()
    root = f"http://example.org:{port}/bandsight"
    with (
        served(create_app(settings, Service(settings, archive, FakeEmbedder()))) as upstream,
        running(configure(tmp_path, upstream.rstrip("/"), port), port, tmp_path),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": f"example.org:{port}"}) as client,
    ):
        assert client.get("/bandsight").headers["location"].endswith("/bandsight/")
        page = client.get("/bandsight/", headers={"Accept": "text/html"})
        assert page.status_code == 401
        assert "data-sign-in" in page.text
        own = {"Origin": f"http://example.org:{port}"}
        signed_in = client.post("/bandsight/session", json={"key": KEY}, headers=own)
        assert "Path" not in signed_in.headers["set-cookie"]
        cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        landing = client.get("/bandsight/", headers=cookie).json()
        assert all(link["href"].startswith(root) for link in landing["links"])
        assert client.get("/bandsight/openapi.json", headers=cookie).json()["servers"] == [{"url": root}]
        assert client.post("/bandsight/searches", json={"q": "a lake"}, headers=own | cookie).status_code == 201
        image = client.post("/bandsight/search", content=b"x" * 5_000_000, headers=own | cookie)
        assert image.status_code in {400, 415}, "the proxy refuses large bodies"
