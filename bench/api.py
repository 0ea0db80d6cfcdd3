"""Times the API over loopback, from a second process, beside encode and search alone and an exact scan.

`python -m bench.api --archive DIR` (made by `bench.api_archive`): the server is started here; requests come one after
another, and each is followed by the same question asked of model and vectors without HTTP, so that both meet the same
load of a shared machine.
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
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round of several clients at once")
    parser.add_argument("--out", type=Path, default=Path("bench/results/api.json"))
    args = parser.parse_args()
    encoder = load_model("embedded", "cpu")
    with Archive.open(args.archive) as archive, _server(args.archive) as client:
        bench = Bench(client, archive, encoder, args.rounds)
        results = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "archive": {"tiles": archive.tile_count, "dim": encoder.dim, "index": archive.index_figures["index"]},
            "ms": {**bench.questions(), **bench.listings()},
            "at_once": bench.at_once(args.seconds),
            "heat_map": bench.heat_map(),
        }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_S)
        self._used = time.monotonic()

    def send(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        """Return the milliseconds to the last byte, and the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if time.monotonic() - self._used > _IDLE_S:
            # The server closes what is idle; a new connection is no part of the request.
            self._connection.close()
            self._connection.connect()
        began = time.perf_counter()
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        answer = response.read()
        took = (time.perf_counter() - began) * 1000
        self._used = time.monotonic()
        if response.status >= _OK:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return took, answer


class Bench:
    """The measurements."""

    def __init__(self, client: Client, archive: Archive, encoder: Any, rounds: int) -> None:
        self._client, self._archive, self._encoder, self._rounds = client, archive, encoder, rounds
        self._rng = np.random.default_rng(1)
        # None of them twice: what the server remembers of a sentence does not count.
        self._sentences = iter(f"{text}, number {n}" for n in range(1000) for text in sentences())
        # The vectors alone, without rows and hits.
        self._store = archive.store

    def questions(self) -> dict[str, Any]:
        """Time ten hits by meaning, each beside encode and search alone."""

        def text(filtered: bool) -> Callable[[], tuple[float, float]]:
            def once() -> tuple[float, float]:
                sentence, other = next(self._sentences), next(self._sentences)
                url, wanted = self._filter() if filtered else ({}, Filter())
                query = urlencode({"q": sentence.replace(",", ""), "limit": 10, **url})
                took, _ = self._client.send("GET", f"/search?{query}")
                began = time.perf_counter()
                self._store.search(self._encoder.embed_texts([other]), 10, wanted)
                return took, (time.perf_counter() - began) * 1000

            return once

        def similar() -> tuple[float, float]:
            tile = int(self._rng.integers(1, self._archive.tile_count))
            took, _ = self._client.send("GET", f"/tiles/{tile}/similar?limit=10")
            began = time.perf_counter()
            self._store.search(self._store.get([tile]), 10, Filter(exclude=(tile,)))
            return took, (time.perf_counter() - began) * 1000

        return {
            "text": self._paired(text(filtered=False)),
            "text_with_filter": self._paired(text(filtered=True)),
            "similar": self._paired(similar),
        }

    def listings(self) -> dict[str, Any]:
        """Time pages of items: ten and a thousand."""

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

    def at_once(self, seconds: float) -> dict[str, Any]:
        """Time several clients that ask at once, each without a pause: sentences with filters, likeness, lists."""
        return {f"{count}_clients": self._load(count, seconds) for count in (1, 4, 16)}

    def _load(self, count: int, seconds: float) -> dict[str, Any]:
        kinds = ("text_with_filter", "similar", "stac_search")
        urls = {kind: [self._url(kind) for _ in range(200)] for kind in kinds}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        end = time.monotonic() + seconds

        def ask(number: int) -> None:
            client, turn = Client(self._client.port), number
            while time.monotonic() < end:
                kind = kinds[turn % len(kinds)]
                times[kind].append(client.send("GET", urls[kind][turn % 200])[0])
                turn += 1

        threads = [threading.Thread(target=ask, args=(67 * number,)) for number in range(count)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answered = sum(len(found) for found in times.values())
        rate = round(answered / (time.monotonic() - began), 1)
        return {"requests_a_s": rate, **{kind: _summary(found) for kind, found in times.items()}}

    def _url(self, kind: str) -> str:
        if kind == "similar":
            return f"/tiles/{self._rng.integers(1, self._archive.tile_count)}/similar?limit=10"
        url, _ = self._filter()
        asked = {"q": next(self._sentences).replace(",", "")} if kind == "text_with_filter" else {}
        return f"/search?{urlencode({'limit': 10, **asked, **url})}"

    def heat_map(self) -> dict[str, Any]:
        """Time a new question's heat map of all tiles beside an exact scan for ten hits, and further map tiles."""
        first, scans, later = [], [], []
        for _ in range(5):
            _, made = self._client.send("POST", "/searches", {"q": next(self._sentences).replace(",", "")})
            search = json.loads(made)["id"]
            first.append(self._client.send("GET", f"/searches/{search}/heatmap/0/0/0.png")[0])
            vector = self._encoder.embed_texts([next(self._sentences)])
            began = time.perf_counter()
            self._store.search(vector, 10, Filter(), exact=True)
            scans.append((time.perf_counter() - began) * 1000)
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
        """Return a filter that lets through about a tenth: a box of a third of the Earth, and little cloud."""
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
        overhead = [took - alone for took, alone in rounds]
        return {
            "http": _summary([took for took, _ in rounds]),
            "encode_and_search": _summary([alone for _, alone in rounds]),
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
    raise RuntimeError("the server does not answer; is the archive of another model? `bandsight serve` says")


if __name__ == "__main__":
    main()
