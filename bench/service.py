"""Benchmarks a server under abuse, the overhead of middleware, and several workers.

`python -m bench.service --archive DIR` starts servers on an archive from `bench.api_archive`. A normal client sends
searches with new sentences, first alone, then together with an abusive client at another address of this machine;
figures are ratios of the two. `--before CHECKOUT` alternates with the code of another checkout.
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

_START_S = 180
_ABUSER = "127.0.0.2"
_WORDS = [
    "river",
    "lake",
    "forest",
    "town",
    "field",
    "coast",
    "road",
    "snow",
    "harbour",
    "desert",
    "quarry",
    "dam",
    "airport",
    "wetland",
    "orchard",
    "glacier",
]
_P95 = 0.95
_RNG = np.random.default_rng()
Attack = Callable[[int, threading.Event, Counter[str]], None]


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--attack", choices=ATTACKS, help="attack the server at --port until standard input ends")
    parser.add_argument("--port", type=int)
    parser.add_argument("--before", type=Path, help="another checkout, for comparison")
    parser.add_argument("--before-archive", type=Path, help="its archive, where it needs one of its own version")
    parser.add_argument("--seconds", type=float, default=12.0, help="duration of each attack")
    parser.add_argument("--only", nargs="*", help="names of attacks; none for the other figures alone")
    parser.add_argument("--out", type=Path, default=Path("bench/results/service.json"))
    args = parser.parse_args()
    if args.attack:
        attack_until_told(args.attack, args.port)
        return
    attacks = [name for name in ATTACKS if args.only is None or name in args.only]
    here = Path(__file__).parents[1]
    results: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    }
    checkouts = [("after", here, args.archive)]
    if args.before:
        checkouts.append(("before", args.before, args.before_archive or args.archive))
    for label, checkout, archive in checkouts:
        results[label] = {}
        for name in attacks:
            results[label][name] = under_attack(checkout, archive, name, args.seconds)
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    results["middleware"] = asyncio.run(cost_of_middleware(args.archive))
    results["workers"] = {count: queries_per_s(here, args.archive, count, args.seconds) for count in (1, 2, 4)}
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


@contextmanager
def server(checkout: Path, archive: Path, **settings: str) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server of a checkout; yield its port and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bandsight.cli",
        "serve",
        "--archive",
        str(archive),
        "--port",
        str(port),
    ]
    environment = os.environ | {"PYTHONPATH": str(checkout)} | settings
    process = subprocess.Popen(command, cwd=checkout, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(_START_S * 5):
            with suppress(OSError, http.client.HTTPException):
                if _get(port, "/readyz")[0] == http.HTTPStatus.OK:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"{checkout}: the server ended with {process.returncode}")
            time.sleep(0.2)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def under_attack(checkout: Path, archive: Path, attack: str, seconds: float) -> dict[str, Any]:
    """Return latencies of a normal client alone and during an attack, peak memory, and the attack's statuses."""
    with server(checkout, archive) as (port, process):
        _plain(port, 2)
        base = process.memory_info().rss
        alone = _plain(port, seconds / 2)
        stop, peak = threading.Event(), [base]
        watcher = threading.Thread(target=_watch, args=(process, stop, peak), daemon=True)
        # Another process with the lowest priority, because an attacker's work would be on another machine.
        command = ["nice", "-n", "19", sys.executable, "-m", "bench.service", "--attack", attack, "--port", str(port)]
        attacker = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        attacker.stdout.readline()
        watcher.start()
        beside = _plain(port, seconds)
        stop.set()
        answers = json.loads(attacker.communicate()[0])
        after = _plain(port, 3)
    return {
        "p95_ms_alone": _p95(alone),
        "p95_ms_beside": _p95(beside),
        "ratio": round(_p95(beside) / _p95(alone), 2),
        "p95_ms_afterwards": _p95(after),
        "failed": sum(one == float("inf") for one in beside),
        "searches": len(beside),
        "peak_mb_above_idle": round((max(peak) - base) / 2**20),
        "attack_got": answers,
    }


def attack_until_told(name: str, port: int) -> None:
    """Attack a server with eight threads until standard input ends; print the statuses of the responses."""
    attack, stop, answers = ATTACKS[name](), threading.Event(), Counter[str]()
    threads = [threading.Thread(target=attack, args=(port, stop, answers), daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    print("attacking", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join(2)
    print(json.dumps(answers), flush=True)


def _plain(port: int, seconds: float) -> list[float]:
    """Send searches with new sentences for some seconds; return their times, s, or infinity for failures."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or not times:
        sentence = "+".join(_RNG.choice(_WORDS, 5)) + f"+{_RNG.integers(10**9)}"
        start = time.perf_counter()
        try:
            status, _ = _get(port, f"/search?q={sentence}&limit=10")
        except (OSError, http.client.HTTPException):
            status = 0
        times.append(time.perf_counter() - start if status == http.HTTPStatus.OK else float("inf"))
        time.sleep(0.02)
    return times


def _get(port: int, path: str, timeout: float = 90) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _p95(times: list[float]) -> float:
    ordered = sorted(times)
    return round(1000 * ordered[min(len(ordered) - 1, int(_P95 * len(ordered)))], 1)


def _watch(process: psutil.Process, stop: threading.Event, peak: list[int]) -> None:
    while not stop.wait(0.1):
        with suppress(psutil.Error):
            peak.append(process.memory_info().rss)


def _repeat(method: str, path: str, body: Callable[[], bytes] = bytes, kind: str = "application/json") -> Attack:
    """Return an attack that repeats a request with random bodies from a list."""
    bodies = [body() for _ in range(3)]

    def attack(port: int, stop: threading.Event, answers: Counter[str]) -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(_ABUSER, 0))
            try:
                headers = {"Content-Type": kind} if method == "POST" else {"Authorization": f"Bearer {_RNG.random()}"}
                connection.request(
                    method, path.replace("{n}", str(_RNG.integers(10**9))), bodies[_RNG.integers(3)] or None, headers
                )
                answers[str(connection.getresponse().status)] += 1
            except (OSError, http.client.HTTPException) as error:
                answers[type(error).__name__] += 1
            finally:
                connection.close()

    return attack


def _sentences() -> bytes:
    texts = [" ".join(_RNG.choice(_WORDS, 160))[:990] + str(_RNG.integers(10**6)) for _ in range(64)]
    examples = [{"text": [f"{number} {text}"[:1000] for text in texts]} for number in range(64)]
    return json.dumps({"semantic": {"positive": examples}}).encode()


def _progressive() -> bytes:
    """Return a search with a progressive JPEG of half a megabyte and 49 million pixels."""
    out = io.BytesIO()
    Image.new("RGB", (7000, 7000), tuple(_RNG.integers(0, 255, 3).tolist())).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    at = data.rindex(b"\xff\xda")
    data = data[:at] + data[at:-2] * max(1, min(50, 500_000 // (len(data) - at))) + data[-2:]
    return json.dumps({"semantic": {"image": {"data": base64.b64encode(data).decode()}}}).encode()


def _many_values() -> bytes:
    value = {"op": "in", "args": [{"property": "platform"}, ["a"] * 200_000]}
    return json.dumps({"filter": value}).encode()


def _half_heads(port: int, stop: threading.Event, answers: Counter[str]) -> None:
    """Hold connections open with incomplete requests."""
    held: list[socket.socket] = []
    while not stop.is_set():
        if len(held) < 1100 // 8:
            one = socket.socket()
            one.settimeout(2)
            try:
                one.bind((_ABUSER, 0))
                one.connect(("127.0.0.1", port))
                one.sendall(b"GET /search HTTP/1.1\r\nHost: localhost\r\nX-Wait: ")
                held.append(one)
                answers["opened"] += 1
            except OSError as error:
                answers[type(error).__name__] += 1
                one.close()
        else:
            time.sleep(0.05)
    for one in held:
        one.close()


_LARGE_MAP = "/heatmap.png?q=a+lake+{n}&width=4096&height=4096&bbox=-180,-85,180,85"
ATTACKS: dict[str, Callable[[], Attack]] = {
    "4096 sentences of 1000 characters": lambda: _repeat("POST", "/search", _sentences),
    "heat maps of 4096 x 4096": lambda: _repeat("GET", _LARGE_MAP),
    "progressive JPEGs": lambda: _repeat("POST", "/search", _progressive),
    "filters of 200,000 values": lambda: _repeat("POST", "/search", _many_values),
    "half-sent heads": lambda: _half_heads,
    "exports of every tile": lambda: _repeat("POST", "/search/export", lambda: b'{"q": "a lake", "limit": 1000000}'),
}


async def cost_of_middleware(archive: Path) -> dict[str, float]:
    """Return the overhead of keys, limits, admission, logs and metrics per request, ms, without a network."""
    from pydantic import SecretStr

    from bandsight.archive import Archive
    from search_api.app import create_app
    from search_api.logs import set_up_logging
    from search_api.service import Service
    from search_api.settings import ApiSettings

    key = "correct horse battery"
    settings = ApiSettings(archive=archive, key=SecretStr(key), access_log=True, rate_per_minute=10**9)
    with Archive.open(archive) as opened, Path(os.devnull).open("w", encoding="utf-8") as sink:
        app = create_app(settings, Service(settings, opened, None))  # type: ignore[arg-type]
        stderr, sys.stderr = sys.stderr, sink
        set_up_logging("json", "warning", access_log=True)
        sys.stderr = stderr
        headers = [(b"authorization", f"Bearer {key}".encode()), (b"host", b"localhost")]
        whole = app.build_middleware_stack()
        # The layers below admission: the route itself, and error handling.
        bare: Any = whole
        while type(bare).__name__ != "FirstRunMiddleware":
            bare = getattr(bare, "_app", None) or bare.app
        times: dict[str, list[float]] = {"with": [], "without": []}
        for turn in range(600):
            for label, asgi in (("with", whole), ("without", bare)):
                start = time.perf_counter()
                await _call(asgi, app, headers)
                if turn >= 100:
                    times[label].append(time.perf_counter() - start)
    medians = {label: 1000 * statistics.median(found) for label, found in times.items()}
    return {"added_ms": round(medians["with"] - medians["without"], 3), "request_ms": round(medians["with"], 3)}


async def _call(asgi: Any, app: Any, headers: list[tuple[bytes, bytes]]) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/conformance",
        "raw_path": b"/conformance",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "http_version": "1.1",
        "app": app,
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    statuses = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    await asgi(scope, receive, send)
    if statuses[0] != http.HTTPStatus.OK:
        raise RuntimeError(f"the request got a {statuses[0]}")


def queries_per_s(checkout: Path, archive: Path, workers: int, seconds: float) -> dict[str, float]:
    """Return the number of searches per second with eight clients."""
    with server(checkout, archive, BANDSIGHT_WORKERS=str(workers)) as (port, process):
        done: list[int] = []
        end = time.monotonic() + seconds

        def client() -> None:
            count = 0
            while time.monotonic() < end:
                sentence = "+".join(_RNG.choice(_WORDS, 5)) + f"+{_RNG.integers(10**9)}"
                count += _get(port, f"/search?q={sentence}&limit=10")[0] == http.HTTPStatus.OK
            done.append(count)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    return {"queries_per_s": round(sum(done) / seconds, 1), "resident_mb": round(memory / 2**20)}


if __name__ == "__main__":
    main()
