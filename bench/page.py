"""Benchmarks the page in a browser: from Enter to thumbnails against the API alone, and key presses with 10,000 hits.

    python -m bench.page --archive demo-archive [--chromium /usr/bin/chromium] [--out FILE]

Without a GPU, the browser draws the map much more slowly than a user's browser, so ratios are more useful than times.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
)
_SENTENCES = ("a lake surrounded by fields", "a village with houses", "bare mountains", "a dense forest", "a river")
_FIRST_CARDS, _PRESSES, _MANY = 9, 12, 10_000
# Browsers open at most this many connections to one host.
_CONNECTIONS = 6
# Time from each interaction to the next paint: the longest event of the interaction, from the Event Timing API.
_WATCH = """() => {
  window.presses = {};
  const longer = one => Math.max(one.duration, window.presses[one.interactionId] ?? 0);
  const record = one => { if (one.interactionId) window.presses[one.interactionId] = longer(one); };
  window.watching?.disconnect();
  window.watching = new PerformanceObserver(list => list.getEntries().forEach(record));
  window.watching.observe({ type: "event", durationThreshold: 16, buffered: false });
}"""


_SEEN = """most => [...document.querySelectorAll(".card .picture")].slice(0, most)
  .every(one => one.className.includes("seen"))"""


def main() -> None:
    """Run the benchmark and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=Path("demo-archive"))
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with served(args.archive) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=list(FLAGS))
        results = {
            "machine": {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "gpu": "none (SwiftShader)"},
            "weight": page_bytes(browser, url),
            "enter_to_thumbnails": enter_to_thumbnails(browser, url),
            "press_to_paint": {str(hits): presses(browser, url, hits) for hits in (50, _MANY)},
            "press_to_paint_without_map": {str(hits): presses(browser, url, hits, map_=False) for hits in (50, _MANY)},
        }
        browser.close()
    text = json.dumps(results, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    print(text)


@contextmanager
def served(archive: Path) -> Iterator[str]:
    """Run `bandsight serve` on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["serve", "--archive", str(archive), "--port", str(port)]
    server = subprocess.Popen([sys.executable, "-c", "from bandsight.cli import main; main()", *arguments])
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30):
                    break
            except (URLError, OSError):
                if server.poll() is not None:
                    sys.exit(f"{archive}: the server ended; create the demo archive with: make demo")
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def page_bytes(browser: Any, url: str) -> dict[str, int]:
    """Return the compressed size of the files that a first visit downloads, bytes."""
    page = browser.new_page()
    urls: set[str] = set()
    page.on("request", lambda one: urls.add(one.url) if "/static/" in one.url else None)
    page.goto(url)
    page.wait_for_selector(".map-frame[data-drawn=true]", timeout=120_000)
    page.close()
    sizes = {}
    for one in sorted(urls | {url}):
        headers = {"Accept": "text/html", "Accept-Encoding": "gzip"}
        with urlopen(Request(one, headers=headers), timeout=60) as answer:  # noqa: S310
            sizes[one.removeprefix(url) or "index.html"] = len(answer.read())
    return {**sizes, "total": sum(sizes.values())}


def enter_to_thumbnails(browser: Any, url: str) -> dict[str, float]:
    """Compare Enter → places → first thumbnails in the browser with the same requests from a plain client."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    page.wait_for_selector(".map-frame[data-drawn=true]", timeout=120_000)
    rows = []
    for sentence in _SENTENCES:
        api, pictures = _plain(url, sentence)
        page.context.clear_cookies()
        page.fill("#q", sentence)
        start = page.evaluate("performance.now()")
        page.keyboard.press("Enter")
        page.wait_for_selector(".results[aria-busy=false] .card", timeout=120_000)
        cards = page.evaluate("performance.now()") - start
        page.wait_for_function(_SEEN, arg=_FIRST_CARDS, timeout=120_000)
        rows.append((api, pictures, cards, page.evaluate("performance.now()") - start))
    page.close()
    api, pictures, cards, thumbnails = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "api_search_ms": round(api, 1),
        "api_search_and_thumbnails_ms": round(api + pictures, 1),
        "enter_to_places_ms": round(cards, 1),
        "enter_to_first_thumbnails_ms": round(thumbnails, 1),
        "places_over_api": round(cards / api, 2),
        "thumbnails_over_api": round(thumbnails / (api + pictures), 2),
    }


def _plain(url: str, sentence: str) -> tuple[float, float]:
    """Return the ms of a search and of its first thumbnails without a browser, with as many connections."""
    body = json.dumps(
        {"semantic": {"text": sentence}, "limit": 200, "fields": {"exclude": ["links", "assets"]}}
    ).encode()
    start = time.perf_counter()
    request = Request(f"{url}search", body, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=120) as answer:  # noqa: S310
        tiles = [item["id"] for item in json.load(answer)["features"][:_FIRST_CARDS]]
    searched = time.perf_counter()

    def picture(tile: str) -> int:
        with urlopen(f"{url}tiles/{tile}/thumbnail.png?size=256", timeout=120) as answer:  # noqa: S310
            return len(answer.read())

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(picture, tiles))
    return (searched - start) * 1000, (time.perf_counter() - searched) * 1000


def presses(browser: Any, url: str, hits: int, *, map_: bool = True) -> dict[str, Any]:
    """Return the ms from a key press to the next paint, and the part of the main thread.

    Without a GPU, the CPU draws the map, which blocks the browser; a page with a hidden map shows the time of the page
    alone. `main_thread_ms` is the total work of the main thread per press, before and after the paint.

    Args:
        browser: The browser.
        url: Root of the server.
        hits: Number of hits in grid and map.
        map_: Show the map.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.route("**/search", lambda route: _many(route, hits))
    page.goto(f"{url}#q=anything&n={hits}")
    shows_count = "most => document.querySelector('.results-head h2 b')?.textContent === most"
    page.wait_for_function(shows_count, arg=f"{hits:,}", timeout=300_000)
    page.wait_for_function("() => !document.querySelector('.results-head .spinner')", timeout=300_000)
    page.wait_for_selector(".map-frame[data-drawn=true]", timeout=300_000)
    if not map_:
        page.evaluate("() => { document.querySelector('.map').style.display = 'none' }")
        page.wait_for_timeout(1000)
    figures: dict[str, Any] = {}
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy_ms() -> float:
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(metrics["TaskDuration"])

    for name, key in (("next_place", "j"), ("keep", "s"), ("slider", "ArrowRight")):
        if name == "slider":
            page.get_by_role("slider", name="Minimum probability").focus()
        page.evaluate(_WATCH)
        page.wait_for_timeout(1000)
        before = busy_ms()
        for _ in range(_PRESSES):
            page.keyboard.press(key)
            page.wait_for_timeout(350)
        page.wait_for_timeout(1000)
        main_thread_ms = (busy_ms() - before) / _PRESSES
        durations = list(page.evaluate("window.presses").values())
        # Event Timing does not report events shorter than 16 ms.
        times = sorted([*durations, *[16.0] * max(0, _PRESSES - len(durations))])
        figures[name] = {
            "median_ms": statistics.median(times),
            "worst_ms": times[-1],
            "main_thread_ms": round(main_thread_ms, 1),
            "presses": _PRESSES,
        }
    page.close()
    return figures


def _many(route: Any, hits: int) -> None:
    first = int((route.request.post_data_json or {}).get("token", "0"))
    items = [_item(at) for at in range(first, min(hits, first + 1000))]
    more = [{"rel": "next", "href": route.request.url, "body": {"token": str(first + 1000)}}]
    answer = {"type": "FeatureCollection", "features": items, "numberMatched": hits, "nothing_matches": False}
    answer["links"] = more if first + 1000 < hits else []
    route.fulfill(status=200, content_type="application/geo+json", body=json.dumps(answer))


def _item(at: int) -> dict[str, Any]:
    row, column = divmod(at, 100)
    west, south = 10 + column * 0.02, 50 + row * 0.012
    ring = [[west, south], [west + 0.018, south], [west + 0.018, south + 0.011], [west, south + 0.011], [west, south]]
    properties = {
        "datetime": f"20{10 + at % 15}-06-15T10:00:00Z",
        "title": f"scene {row}",
        "bandsight:sensor": "sentinel2_l2a",
        "bandsight:rank": at + 1,
        "bandsight:score": 1 - at / _MANY,
        "bandsight:probability": 1 - at / _MANY,
        "bandsight:match": at < _MANY // 2,
    }
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {
        "type": "Feature",
        "id": str(at + 1),
        "collection": "synthetic",
        "geometry": geometry,
        "properties": properties,
    }


if __name__ == "__main__":
    main()
