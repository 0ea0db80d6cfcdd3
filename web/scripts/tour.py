"""Creates the screenshots of the README from the demo archive: docs/img/page.webp and docs/img/tour.webp.

make demo && .venv/bin/python web/scripts/tour.py
"""

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench.page import FLAGS, served  # noqa: E402

_OUT = ROOT / "docs" / "img"
_SIZE, _SMALL = (1280, 800), (960, 600)
_LONG_MS, _SHORT_MS = 1900, 650
_FULL = """() => [...document.querySelectorAll(".view:not([hidden]) .card .picture")].slice(0, 9)
  .every(one => one.className.includes("seen"))"""


class Film:
    """Screenshots of the page, each with its duration."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.times: list[int] = []

    def take(self, time_ms: int = _SHORT_MS, *, still: bool = True) -> Image.Image:
        """Add a screenshot."""
        if still:
            self.page.wait_for_timeout(300)
            self.page.wait_for_selector(".map-frame[data-drawn=true]", timeout=120_000)
            self.page.wait_for_function(_FULL, timeout=120_000)
        with Image.open(io.BytesIO(self.page.screenshot())) as picture:
            frame = picture.convert("RGB")
        self.frames.append(frame.resize(_SMALL, Image.Resampling.LANCZOS))
        self.times.append(time_ms)
        return frame

    def wait_for_results(self) -> None:
        """Wait until the results are there."""
        self.page.wait_for_selector(".results[aria-busy=false] .card", timeout=120_000)


def main() -> None:
    """Walk through the page and save the screenshots."""
    _OUT.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with served(ROOT / "demo-archive") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        page = browser.new_page(viewport={"width": _SIZE[0], "height": _SIZE[1]})
        page.goto(url)
        page.wait_for_selector(".examples button")
        film = Film(page)
        play(page, film)
        browser.close()
    first, *others = film.frames
    first.save(
        _OUT / "tour.webp", save_all=True, append_images=others, duration=film.times, loop=0, quality=62, method=6
    )
    for name in ("page.webp", "tour.webp"):
        print(_OUT / name, (_OUT / name).stat().st_size // 1024, "kB")


def play(page: Any, film: Film) -> None:
    """Search for lakes, add examples, zoom in, show the heat map, open a tile."""
    film.take(_LONG_MS)
    page.click("#q")
    for part in ("a lake", " surrounded", " by fields"):
        page.keyboard.type(part)
        film.take(260, still=False)
    page.keyboard.press("Enter")
    film.wait_for_results()
    film.take(_LONG_MS)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("z")
    page.wait_for_timeout(1200)
    film.take(_LONG_MS)
    for key in ("+", "j", "+"):
        page.keyboard.press(key)
        film.wait_for_results()
        page.wait_for_timeout(500)
        film.take()
    for _ in range(6):
        page.keyboard.press("j")
    film.take()
    page.keyboard.press("-")
    film.wait_for_results()
    page.wait_for_timeout(4500)
    page.click("button[aria-label='Zoom out']")
    page.wait_for_timeout(1000)
    page.locator(".results .scroller").evaluate("node => node.scrollTo(0, 0)")
    film.take(_LONG_MS).save(_OUT / "page.webp", quality=82, method=6)
    page.keyboard.press("h")
    page.wait_for_selector(".heat-key", timeout=120_000)
    page.wait_for_timeout(1500)
    film.take(_LONG_MS)
    page.keyboard.press("h")
    page.locator(".card .face-button").first.click()
    page.wait_for_selector(".large .picture.seen")
    page.wait_for_timeout(1200)
    film.take(_LONG_MS, still=False)


if __name__ == "__main__":
    main()
