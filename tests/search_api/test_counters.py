"""Limits that hold for all workers of a server together."""

import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from search_api.counters import Counters, Table
from search_api.rate_limits import Quota, RateLimit

ROOT = Path(__file__).parents[2]
SPEND = """
import sys
from pathlib import Path
from search_api.counters import Counters, Table
from search_api.rate_limits import Quota

quota = Quota(Table(Counters(Path(sys.argv[1])), 2), lambda: 0.0)
print(sum(quota.spend("survey", 1000) == 0 for _ in range(700)))
"""


def test_processes_share_a_quota_to_the_last_request(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPEND, str(tmp_path / "counters")]
    workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    passed = [int(worker.communicate()[0]) for worker in workers]
    assert sum(passed) == 1000


def test_threads_share_a_quota_to_the_last_request() -> None:
    quota = Quota(Table(Counters(), 2), lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(lambda _: quota.spend("survey", 300) == 0, range(1000)))
    assert sum(passed) == 300


def test_a_worker_that_dies_while_it_counts_does_not_hold_up_the_others(tmp_path: Path) -> None:
    path, context = tmp_path / "counters", multiprocessing.get_context("fork")
    Counters(path)

    def hold(ready: "multiprocessing.synchronize.Event") -> None:
        with Counters(path).locked():
            ready.set()
            threading.Event().wait()

    ready = context.Event()
    worker = context.Process(target=hold, args=(ready,))
    worker.start()
    assert ready.wait(60)
    worker.kill()
    worker.join()
    assert Quota(Table(Counters(path), 0), lambda: 0.0).spend("a", 1) == 0


def test_clients_do_not_share_numbers_and_the_oldest_make_room() -> None:
    now = 0.0
    rate = RateLimit(Table(Counters(slots=256), 0), lambda: now)
    for number in range(5000):
        now = float(number)
        assert rate.spend(f"client {number}", 10, 10) == 0, "a client that was never seen has its whole bucket"
    blocked = [number for number in range(4990, 5000) if rate.spend(f"client {number}", 10, 10)]
    assert len(blocked) >= 8, "the newest are remembered"


def test_tables_are_apart() -> None:
    counters = Counters(slots=64)
    first, second = Table(counters, 0), Table(counters, 1)
    rng = np.random.default_rng(0)
    expected: dict[str, tuple[float, float]] = {}
    for client in map(str, rng.integers(0, 20, 200)):
        value = float(rng.random()), float(rng.random())
        first.change(client, lambda _, value=value: (*value, None))
        expected[client] = value
    assert {client: first.get(client) for client in expected} == expected
    assert all(second.get(client) is None for client in expected)
    first.clear()
    assert all(first.get(client) is None for client in expected)
