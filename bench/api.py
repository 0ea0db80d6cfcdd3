"""Benchmarks the API over loopback against encoding and searching without HTTP, and against an exact scan.

`python -m bench.api --archive DIR` starts a server on an archive from `bench.api_archive`. Each request is followed by
the same query on model and vectors without HTTP, so that both run under the same load of a shared machine.
"""

import argparse
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter, Property
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.model import load_model
from bandsight.search.recall_queries import sentences

_WAIT_S = 300
_IDLE_S = 2
_OK = 400


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each round with concurrent clients")
    parser.add_argument("--out", type=Path, default=Path("bench/results/api.json"))
    args = parser.parse_args()
    encoder = load_model("embedded", "cpu")
    with Archive.open(args.archive) as archive, _server(args.archive) as client:
        bench = Bench(client, archive, encoder, args.rounds)
        results = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "archive": {"tiles": archive.tile_count, "dim": encoder.dim, "index": archive.store.index_figures["index"]},
            "ms": {**bench.queries(), **bench.listings()},
            "at_once": bench.concurrent(args.seconds),
            "heat_map": bench.heat_map(),
        }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


class Client:
    """A client with one persistent connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_S)
        self._used = time.monotonic()

    def send(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        """Return the time to the last byte in ms, and the response body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if time.monotonic() - self._used > _IDLE_S:
            # The server closes idle connections. The time to reconnect does not count.
            self._connection.close()
            self._connection.connect()
        start = time.perf_counter()
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        content = response.read()
        elapsed_ms = (time.perf_counter() - start) * 1000
        self._used = time.monotonic()
        if response.status >= _OK:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        return elapsed_ms, content


class Bench:
    """The measurements."""

    def __init__(self, client: Client, archive: Archive, encoder: Any, rounds: int) -> None:
        self._client, self._archive, self._encoder, self._rounds = client, archive, encoder, rounds
        self._rng = np.random.default_rng(1)
        # Each text is used once, because the server caches text embeddings.
        self._sentences = iter(f"{text}, number {n}" for n in range(1000) for text in sentences())
        # The vector store alone, without metadata.
        self._store = archive.store

    def queries(self) -> dict[str, Any]:
        """Time queries for ten hits, each next to encoding and searching alone."""

        def text(filtered: bool) -> Callable[[], tuple[float, float]]:
            def once() -> tuple[float, float]:
                sentence, other = next(self._sentences), next(self._sentences)
                url, where = self._filter() if filtered else ({}, Filter())
                query = urlencode({"q": sentence.replace(",", ""), "limit": 10, **url})
                elapsed_ms, _ = self._client.send("GET", f"/search?{query}")
                start = time.perf_counter()
                self._store.search(self._encoder.embed_texts([other]), 10, where)
                return elapsed_ms, (time.perf_counter() - start) * 1000

            return once

        def similar() -> tuple[float, float]:
            tile = int(self._rng.integers(1, self._archive.tile_count))
            elapsed_ms, _ = self._client.send("GET", f"/tiles/{tile}/similar?limit=10")
            start = time.perf_counter()
            self._store.search(self._store.get([tile]), 10, Filter(exclude=(tile,)))
            return elapsed_ms, (time.perf_counter() - start) * 1000

        return {
            "text": self._paired(text(filtered=False)),
            "text_with_filter": self._paired(text(filtered=True)),
            "similar": self._paired(similar),
        }

    def listings(self) -> dict[str, Any]:
        """Time pages of ten and of a thousand items."""

        def plain(limit: int) -> Callable[[], float]:
            def once() -> float:
                url, _ = self._filter()
                return self._client.send("GET", f"/search?{urlencode({'limit': limit, **url})}")[0]

            return once

        def ranked() -> float:
            return self._client.send("GET", f"/search?{urlencode({'q': 'a lake', 'limit': 1000})}")[0]

        few = max(5, self._rounds // 6)
        return {
            "stac_search": _summary([plain(10)() for _ in range(self._rounds)]),
            "stac_search_1000_items": _summary([plain(1000)() for _ in range(few)]),
            "text_1000_items": _summary([ranked() for _ in range(few)]),
        }

    def concurrent(self, seconds: float) -> dict[str, Any]:
        """Time concurrent clients that send text queries with filters, similarity queries and lists without a pause."""
        return {f"{count}_clients": self._load(count, seconds) for count in (1, 4, 16)}

    def _load(self, count: int, seconds: float) -> dict[str, Any]:
        kinds = ("text_with_filter", "similar", "stac_search")
        urls = {kind: [self._url(kind) for _ in range(200)] for kind in kinds}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        end = time.monotonic() + seconds

        def run(number: int) -> None:
            client, turn = Client(self._client.port), number
            while time.monotonic() < end:
                kind = kinds[turn % len(kinds)]
                times[kind].append(client.send("GET", urls[kind][turn % 200])[0])
                turn += 1

        threads = [threading.Thread(target=run, args=(67 * number,)) for number in range(count)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count_all = sum(len(values) for values in times.values())
        rate = round(count_all / (time.monotonic() - start), 1)
        return {"requests_a_s": rate, **{kind: _summary(values) for kind, values in times.items()}}

    def _url(self, kind: str) -> str:
        if kind == "similar":
            return f"/tiles/{self._rng.integers(1, self._archive.tile_count)}/similar?limit=10"
        url, _ = self._filter()
        query = {"q": next(self._sentences).replace(",", "")} if kind == "text_with_filter" else {}
        return f"/search?{urlencode({'limit': 10, **query, **url})}"

    def heat_map(self) -> dict[str, Any]:
        """Time the first heat map tile of a new query next to an exact scan for ten hits, and further map tiles."""
        first, scans, later = [], [], []
        for _ in range(5):
            _, response = self._client.send("POST", "/searches", {"q": next(self._sentences).replace(",", "")})
            search = json.loads(response)["id"]
            first.append(self._client.send("GET", f"/searches/{search}/heatmap/0/0/0.png")[0])
            vector = self._encoder.embed_texts([next(self._sentences)])
            start = time.perf_counter()
            self._store.search(vector, 10, Filter(), exact=True)
            scans.append((time.perf_counter() - start) * 1000)
            tiles = [(z, x, y) for z in (2, 3) for x in range(1, 3) for y in range(1, 3)]
            later += [self._client.send("GET", f"/searches/{search}/heatmap/{z}/{x}/{y}.png")[0] for z, x, y in tiles]
            self._client.send("DELETE", f"/searches/{search}")
        return {
            "first_map_tile_ms": _summary(first),
            "exact_scan_ms": _summary(scans),
            "first_tile_to_scan": round(statistics.median(a / b for a, b in zip(first, scans, strict=True)), 2),
            "further_map_tiles_ms": _summary(later),
        }

    def _filter(self) -> tuple[dict[str, str], Filter]:
        """Return a filter that about a tenth of the tiles pass: a box over a third of the Earth, and little cloud."""
        west, south = float(self._rng.uniform(-180, 40)), float(self._rng.uniform(-60, 0))
        box = LonLatBox(west=west, south=south, east=west + 140, north=south + 70)
        clear = Property(name="eo:cloud_cover", op="<=", value=40)
        url = {
            "bbox": f"{box.west},{box.south},{box.east},{box.north}",
            "filter": '"eo:cloud_cover" <= 40',
        }
        return url, Filter(area=Area.from_box(box), properties=(clear,))

    def _paired(self, once: Callable[[], tuple[float, float]]) -> dict[str, Any]:
        once()
        rounds = [once() for _ in range(self._rounds)]
        overhead = [http - direct for http, direct in rounds]
        return {
            "http": _summary([http for http, _ in rounds]),
            "encode_and_search": _summary([direct for _, direct in rounds]),
            "overhead_p50": round(statistics.median(overhead), 2),
        }


def _summary(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95)}


@contextmanager
def _server(archive: Path) -> Iterator[Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bandsight.cli", "serve", "--archive", str(archive), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield _ready(port, server)
        finally:
            server.terminate()


def _ready(port: int, server: subprocess.Popen[bytes]) -> Client:
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end and server.poll() is None:
        try:
            client = Client(port)
            client.send("GET", "/readyz")
        except OSError:
            time.sleep(0.2)
        else:
            return client
    raise RuntimeError("the server did not start; run `bandsight serve` to see why")


if __name__ == "__main__":
    main()
