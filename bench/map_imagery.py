"""Benchmarks imagery on the map: the share of a view that has arrived one second after the map has moved to results.

    python -m bench.map_imagery --archive demo-archive [--out FILE]

For each sentence, the view is the one that the page fits to its results, 1280 × 800 pixels, and its map tiles are
requested like a browser does: six at a time, from the centre outwards. Every view is requested once, from a server that
has just started, so that nothing is cached except the archive's pyramids. Empty the archive's folder `pyramids` to
measure without them; the server writes them again.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.page import served

_SENTENCES = ("a lake surrounded by fields", "a village with houses", "bare mountains", "a dense forest", "a river")
_WIDTH, _HEIGHT, _TILE_PX, _PAD, _MAX_ZOOM = 1280, 800, 256, 64, 16
_CONNECTIONS, _TOP, _WITHIN_S = 6, 12, 1.0
# As in the page's `nearBest`: results farther away than this multiple of the best one's size are not in the view.
_MOST_WIDE = 24

Box = tuple[float, float, float, float]


def main() -> None:
    """Run the benchmark and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=Path("demo-archive"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with served(args.archive) as url:
        _get_json(f"{url}search", {"semantic": {"positive": [{"text": "warm"}]}, "limit": 1})
        views = [measure(url, text) for text in _SENTENCES]
    tiles = sum(view["tiles"] for view in views)
    results = {
        "machine": {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "views": views,
        "share_within_1_s": round(sum(view["tiles"] * view["share_within_1_s"] for view in views) / tiles, 3),
    }
    text = json.dumps(results, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    print(text)


def measure(url: str, text: str) -> dict[str, Any]:
    """Search, and request the map tiles of the view that the page moves to."""
    found = _get_json(f"{url}search", {"semantic": {"positive": [{"text": text}]}, "limit": _TOP})
    zoom, view = fitted(near_best([tuple(one["bbox"]) for one in found["features"]]))
    described = _get_json(f"{url}imagery/tilejson.json")
    least, most, bounds = described["minzoom"], described["maxzoom"], tuple(described["bounds"])
    requests = [
        described["tiles"][0].replace("{z}", str(z)).replace("{x}", str(x)).replace("{y}", str(y))
        for z, x, y in (tiles_of(view, min(zoom, most), bounds) if zoom >= least else ())
    ]
    began = time.perf_counter()

    def fetch(address: str) -> float:
        with urlopen(address, timeout=120) as answer:  # noqa: S310
            answer.read()
        return time.perf_counter() - began

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        arrived = list(pool.map(fetch, requests))
    return {
        "text": text,
        "zoom": zoom,
        "tiles": len(arrived),
        "share_within_1_s": round(sum(after <= _WITHIN_S for after in arrived) / max(1, len(arrived)), 3),
        "all_after_s": round(max(arrived, default=0.0), 2),
    }


def near_best(boxes: list[Box]) -> list[Box]:
    """Return the boxes that the page shows together: the best one, and those close enough to it, in order."""
    west, south, east, north = boxes[0]
    wide, high = _MOST_WIDE * (east - west), _MOST_WIDE * (north - south)
    kept = []
    for box in boxes:
        grown = min(west, box[0]), min(south, box[1]), max(east, box[2]), max(north, box[3])
        if grown[2] - grown[0] <= wide and grown[3] - grown[1] <= high:
            west, south, east, north = grown
            kept.append(box)
    return kept


def fitted(boxes: list[Box]) -> tuple[int, Box]:
    """Return the zoom of map tiles and the box of the view that fits these boxes, like MapLibre's `fitBounds`."""
    west, south = min(box[0] for box in boxes), min(box[1] for box in boxes)
    east, north = max(box[2] for box in boxes), max(box[3] for box in boxes)
    left, right = _x(west), _x(east)
    top, bottom = _y(north), _y(south)
    # MapLibre's zoom 0 is a world of 512 pixels.
    zoom = min(
        math.log2((_WIDTH - 2 * _PAD) / 512 / max(right - left, 1e-9)),
        math.log2((_HEIGHT - 2 * _PAD) / 512 / max(bottom - top, 1e-9)),
        _MAX_ZOOM,
    )
    wide, high = _WIDTH / 512 / 2**zoom, _HEIGHT / 512 / 2**zoom
    x, y = (left + right) / 2, (top + bottom) / 2
    return round(zoom + 1), (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def tiles_of(view: Box, zoom: int, bounds: Box) -> Iterator[tuple[int, int, int]]:
    """Return the map tiles of a view within a layer's bounds, starting at the centre."""
    count = 2**zoom
    left, right = max(view[0], _x(bounds[0])), min(view[2], _x(bounds[2]))
    top, bottom = max(view[1], _y(bounds[3])), min(view[3], _y(bounds[1]))
    if left >= right or top >= bottom:
        return
    middle = (view[0] + view[2]) / 2 * count - 0.5, (view[1] + view[3]) / 2 * count - 0.5
    found = [
        (x, y)
        for x in range(int(left * count), min(int(right * count), count - 1) + 1)
        for y in range(int(top * count), min(int(bottom * count), count - 1) + 1)
    ]
    for x, y in sorted(found, key=lambda at: math.dist(at, middle)):
        yield zoom, x, y


def _x(lon: float) -> float:
    return (lon + 180) / 360


def _y(lat: float) -> float:
    return (1 - math.asinh(math.tan(math.radians(max(-85.0, min(85.0, lat))))) / math.pi) / 2


def _get_json(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"} if data else {})  # noqa: S310
    with urlopen(request, timeout=120) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    main()
