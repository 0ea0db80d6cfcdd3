"""A real browser, a real server and a small archive."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from indexer.pipeline import index
from tests.browser import landscape

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "runs" / "page"
KEY = "correct horse battery"
"""The key of the server at `keyed_url`."""
MARKUP = '<img src=x onerror="window.hacked=1">'
"""A name that would run a script if the page treated it as markup."""
START_TIMEOUT_S = 180
# Without a GPU, SwiftShader draws the map. The other flags keep the browser off the network.
FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three dates of one place, an aerial photo with a hostile name, radar, and a file that is not a raster."""
    folder = tmp_path_factory.mktemp("page-scenes")
    for when, season in (("20170216T102101", 0.1), ("20170617T102021", 0.0), ("20170910T102021", 0.8)):
        landscape.sentinel2(folder / f"s2_{when[:8]}", when, seed=4, season=season)
    landscape.photo(folder / f"{MARKUP}_20200501.tif", seed=7, origin=(390_000.0, 5_810_000.0))
    landscape.radar(folder / "S1A_IW_GRDH_20170301.tif", seed=4)
    (folder / "broken.tif").write_text("no raster")
    return folder


@pytest.fixture(scope="session")
def archive(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bandsight.model import load_model

    path = tmp_path_factory.mktemp("page") / "archive"
    model = load_model("embedded", "cpu")
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(path, identity) as opened:
        summary = index([scenes], archive=opened, model=model)
    assert len(summary.failed) == 1
    return path


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start `bandsight serve` for an archive, with settings as environment variables, and return its address."""
    running: list[subprocess.Popen[bytes]] = []

    def start(archive: Path, **settings: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        code = "from bandsight.cli import main; main()"
        words = ["serve", "--archive", str(archive), "--port", str(port), "--device", "cpu"]
        log = tmp_path_factory.mktemp("server") / "log"
        with log.open("wb") as out:
            command = [sys.executable, "-W", "ignore", "-c", code, *words]
            environment = os.environ | settings
            running.append(subprocess.Popen(command, cwd=ROOT, stderr=out, env=environment))
        url = f"http://127.0.0.1:{port}/"
        for _ in range(START_TIMEOUT_S * 10):
            try:
                with urlopen(f"{url}healthz", timeout=5):  # noqa: S310
                    return url
            except (URLError, OSError):
                assert running[-1].poll() is None, log.read_text()
                time.sleep(0.1)
        raise AssertionError(f"{url} does not answer: {log.read_text()}")

    yield start
    for one in running:
        one.terminate()
        one.wait(20)


@pytest.fixture(scope="session")
def url(serve: Callable[..., str], archive: Path) -> str:
    return serve(archive)


@pytest.fixture(scope="session")
def keyed_url(serve: Callable[..., str], archive: Path) -> str:
    """The address of a server with a key."""
    return serve(archive, BANDSIGHT_KEY=KEY)


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; install it (apt-get install chromium) or set CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, url: str):
    """Return a function that opens the page. Script errors and policy violations fail the test."""
    contexts, wrong = [], []

    def go(address: str = "", *, at: str = url, width: int = 1280, height: int = 800, settle: bool = True, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(f"{at}{address}")
        if settle:
            page.wait_for_selector(".map-frame[data-ready]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong, wrong


@pytest.fixture
def shot(request: pytest.FixtureRequest):
    """Save a screenshot in runs/page."""

    def keep(page, name: str) -> bytes:
        SHOTS.mkdir(parents=True, exist_ok=True)
        return page.screenshot(path=SHOTS / f"{name}.png")

    return keep


def sign_in(page, key: str = KEY) -> None:
    """Type the key and send it."""
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def search(page, text: str) -> None:
    """Type a description and wait for the results."""
    page.fill("#q", text)
    page.keyboard.press("Enter")
    wait_for_results(page)


def wait_for_results(page) -> None:
    """Wait until the results are complete. Where the page shows an error instead, the test fails with its message."""
    failure = ".results > .notice > .failed"
    settled = ".results[aria-busy=false]:is([data-refining=fresh], [data-refining=held])"
    page.wait_for_selector(f"{settled} .card, {failure}")
    errors = page.locator(failure).all_inner_texts()
    assert not errors, errors
    # While the pointer is over the list, refined results wait for it to leave.
    if page.locator(".results[data-refining=held]").count():
        page.mouse.move(10, 10)
    page.wait_for_selector(".results[aria-busy=false][data-refining=fresh] .card")
    page.wait_for_function("() => !document.querySelector('.results-head .spinner')")


def wait_for_map(page) -> bytes:
    """Wait until the map is fully drawn, and return a screenshot of it."""
    page.wait_for_timeout(300)
    page.wait_for_selector(".map-frame[data-drawn=true]")
    return page.locator("[data-testid=map]").screenshot()


def cards(page) -> list[int]:
    """Return the ids of the rendered tiles in the grid, one for each place, best first."""
    found = page.eval_on_selector_all(".card", "all => all.map(one => [+one.ariaPosInSet, +one.dataset.tile])")
    return [tile for _, tile in sorted(found)]


def chips(page) -> str:
    """Return the texts of filters and examples."""
    return "\n".join(page.locator(".chips, .tray").all_inner_texts())


def begin_box(page) -> tuple[float, float]:
    """Move the map to the first result, begin to draw a box there, and return the centre of the map, pixels."""
    page.locator(".card .face-button").first.click()
    page.wait_for_timeout(900)
    wait_for_map(page)
    page.get_by_role("button", name="Results", exact=True).click()
    page.get_by_role("button", name="Draw a box to search in").click()
    frame = page.locator("[data-testid=map]").bounding_box()
    return frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
