"""Times requests over HTTP, alone and from 16 clients, of one or two checkouts by turns on the same archive.

    python -m bench.http_load --archive DIR --old ../older

The archive is one of `bench.api_archive`. The processor time of the server counts, because other work on the machine
changes how long a request waits.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bandsight.search.recall_queries import sentences

_HERE = Path(__file__).parents[1]
_KINDS = ("sentence", "sentence with filter", "similar", "list with filter")
_CLIENTS, _ALONE, _WARM, _WAIT_S = 16, 20, 5, 300


def main() -> None:
    """Print times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--tiles", type=int, default=1_000_000, help="tiles of the archive")
    parser.add_argument("--old", type=Path, help="an older checkout")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    places = {"new": _HERE} if args.old is None else {"old": args.old.resolve(), "new": _HERE}
    report: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    for _ in range(args.rounds):
        for name, place in places.items():
            with _server(place, args.archive, args.workers) as (port, group):
                report[name].append(_measured(port, group, args.tiles, args.seconds))
    print(json.dumps({"workers": args.workers, "load": os.getloadavg(), **report}, indent=1))


def _measured(port: int, group: int, tiles: int, seconds: float) -> dict[str, Any]:
    urls = Urls(tiles)
    found: dict[str, Any] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_S)
    for kind in _KINDS:
        for _ in range(_WARM):
            _get(connection, urls.one(kind))
        began, waits = _cpu_s(group), []
        for _ in range(_ALONE):
            url, start = urls.one(kind), time.perf_counter()
            _get(connection, url)
            waits.append(1000 * (time.perf_counter() - start))
        cpu_ms = 1000 * (_cpu_s(group) - began) / _ALONE
        found[kind] = {"p50_ms": round(statistics.median(waits), 1), "cpu_ms": round(cpu_ms, 1)}
    return {**found, f"{_CLIENTS} clients": _together(port, group, urls, seconds)}


def _together(port: int, group: int, urls: "Urls", seconds: float) -> dict[str, float]:
    """Return requests per second, and the server's processor time for one; kinds but the first take turns."""
    counts, end = [0] * _CLIENTS, time.monotonic() + seconds
    queues = [[urls.one(_KINDS[1 + (n + turn) % 3]) for turn in range(600)] for n in range(_CLIENTS)]

    def run(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_S)
        for url in itertools.cycle(queues[number]):
            if time.monotonic() > end:
                return
            _get(connection, url)
            counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(_CLIENTS)]
    began, start = _cpu_s(group), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = max(sum(counts), 1)
    cpu_ms = 1000 * (_cpu_s(group) - began) / total
    return {"requests_per_s": round(total / (time.monotonic() - start), 1), "cpu_ms": round(cpu_ms, 1)}


class Urls:
    """Draws requests; no two sentences are the same, because servers keep the vectors of sentences."""

    def __init__(self, tiles: int) -> None:
        self._rng, self._tiles, self._numbers = random.Random(1), tiles, itertools.count()  # noqa: S311  (no secrets)
        self._texts = [text.replace(",", "") for text in sentences()]

    def one(self, kind: str) -> str:
        """Return the path of a request of a kind."""
        if kind == "similar":
            return f"/tiles/{self._rng.randint(1, self._tiles)}/similar?limit=10"
        query: dict[str, Any] = {"limit": 10}
        if "sentence" in kind:
            query["q"] = f"{self._rng.choice(self._texts)} number {next(self._numbers)}"
        if "filter" in kind:
            west, south = self._rng.uniform(-180, 40), self._rng.uniform(-60, 0)
            query |= {"bbox": f"{west},{south},{west + 140},{south + 70}", "filter": '"eo:cloud_cover" <= 40'}
        return f"/search?{urlencode(query)}"


def _get(connection: http.client.HTTPConnection, url: str) -> None:
    connection.request("GET", url)
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise RuntimeError(f"{url}: {response.status} {body[:300]!r}")


def _cpu_s(group: int) -> float:
    """Return the processor time of a group of processes so far."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[2]) == group:
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(place: Path, archive: Path, workers: int) -> Iterator[tuple[int, int]]:
    """Yield the port of a server and its group of processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "bandsight.cli", "serve", "--archive", str(archive.resolve())]
    command += ["--port", str(port), "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as server:
        try:
            _wait(port)
            yield port, server.pid
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def _wait(port: int) -> None:
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        try:
            _get(http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_S), "/readyz")
        except (OSError, RuntimeError):
            time.sleep(0.3)
        else:
            return
    raise RuntimeError("the server did not start; run `bandsight serve` to see why")


if __name__ == "__main__":
    main()
