"""Runs all functions of a service at the same time for some seconds, while parts of it fail.

Eight clients, an indexer that watches a folder, backups and compactions run while workers and the indexer are killed,
the disk fills and empties, the archive is replaced by a backup while it is served, and taken away and restored. In the
end nothing is lost, and `verify --full` finds nothing wrong.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.drill.clients import Client, Findings
from tests.rasters import picture, write

_CLIENTS, _SCENES, _DISK_MB = 8, 40, 256
# Few tiles, at one scale.
_SIDE_PX, _TILING = 256, ("--tile-px", "128", "--scales", "1")
_HOLD_S = 3.0


class Service:
    """The programs of a service, and what breaks them."""

    def __init__(self, folder: Path, port: int, *, own_disk: bool) -> None:
        self.scenes, self.disk, self.backups = folder / "scenes", folder / "disk", folder / "backups"
        self.archive, self.log = self.disk / "archive", folder / "log"
        self.port, self.own_disk = port, own_disk
        self.restored = time.monotonic()
        self.over, self.paused, self.made = threading.Event(), threading.Event(), 0
        self._starting = threading.Lock()
        self.failures: list[str] = []
        self._indexer: subprocess.Popen[bytes] | None = None
        for one in (self.scenes, self.disk):
            one.mkdir(parents=True)
        if own_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "none", str(self.disk)], check=True)
        # A scene gets its name when it is complete, as deliveries of scenes should do it.
        self.add_scene()
        self.add_scene()

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "BANDSIGHT_ARCHIVE": str(self.archive), "OMP_NUM_THREADS": "1"}
        # Commands that write take turns with the indexer.
        environment["BANDSIGHT_LOCK_WAIT_S"] = "300"
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bandsight.cli", *arguments], stderr=log, stdout=log, env=environment
            )

    def run(self, *arguments: str) -> int:
        return self.command(*arguments).wait()

    def add_scene(self) -> None:
        number = self.made
        origin = (400_000.0 + 5000 * (number % 8), 5_800_000.0 - 5000 * (number // 8))
        part = write(self.scenes.parent / "part.tif", picture(3, _SIDE_PX, _SIDE_PX, seed=number), origin=origin)
        part.replace(self.scenes / f"scene{number}.tif")
        self.made += 1

    # What runs all the time

    def serve(self) -> psutil.Process:
        self.server = self.command("serve", "--port", str(self.port), "--workers", "2")
        return psutil.Process(self.server.pid)

    def feed_and_index(self) -> None:
        while not self.over.is_set():
            with self._starting:
                ended = self._indexer is None or self._indexer.poll() is not None
                if ended and not self.paused.is_set():
                    self._indexer = self.command("index", str(self.scenes), *_TILING, "--watch", "1", "--quiet")
            if self.made < _SCENES:
                self.add_scene()
            self.over.wait(1.0)
        self.pause_indexer()

    def pause_indexer(self) -> None:
        # An indexer that is just being started must not miss the pause.
        with self._starting:
            self.paused.set()
        if self._indexer is not None and self._indexer.poll() is None:
            self._indexer.send_signal(signal.SIGINT)
            self._indexer.wait()

    def back_up(self) -> None:
        while not self.over.is_set():
            self.run("backup", str(self.backups), "--keep", "3")
            self.over.wait(1.0)

    # What breaks

    def kill_a_worker(self) -> None:
        workers = psutil.Process(self.server.pid).children()
        if workers:
            workers[self.made % len(workers)].kill()

    def kill_the_indexer(self) -> None:
        if self._indexer is not None:
            self._indexer.kill()

    def fill_the_disk(self) -> None:
        if not self.own_disk:
            return
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            block = bytes(1 << 20)
            try:
                while True:
                    file.write(block)
            except OSError:
                pass
        time.sleep(_HOLD_S)
        ballast.unlink()

    def compact(self) -> None:
        self._work("compact")

    def replace_by_a_backup(self) -> None:
        self._work("restore", str(self.backups), "--replace")
        self.restored = time.monotonic()

    def take_away_and_restore(self) -> None:
        if not any(self.backups.glob("*Z/catalog.sqlite")):
            return
        # The indexer would make a new archive in its place.
        self.pause_indexer()
        self.archive.rename(self.disk / "away")
        self._work("restore", str(self.backups))
        self.paused.clear()
        shutil.rmtree(self.disk / "away")
        self.restored = time.monotonic()

    def _work(self, *arguments: str) -> None:
        if self.run(*arguments):
            self.failures.append(f"{arguments[0]}: failed; see the log")


def main() -> int:
    """Run the drill and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--folder", type=Path, default=Path(".cache/drill"))
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--own-disk", action="store_true", help="the folder's disk may be a mount of this process")
    args = parser.parse_args()
    # A shell starts what runs in the background with interrupts ignored, and the indexer would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mounts = ["unshare", "--mount", "--map-root-user"]
    if not args.own_disk and shutil.which("unshare") and subprocess.run([*mounts, "true"], check=False).returncode == 0:
        os.execvp(mounts[0], [*mounts, sys.executable, *sys.orig_argv[1:], "--own-disk"])
    shutil.rmtree(args.folder, ignore_errors=True)
    service = Service(args.folder.resolve(), args.port, own_disk=args.own_disk)
    assert service.run("index", str(service.scenes), *_TILING, "--quiet") == 0, service.log.read_text()
    server = service.serve()
    findings, over = Findings(), threading.Event()
    url = f"http://127.0.0.1:{args.port}/"
    wait_until(lambda: answers(f"{url}readyz"), 240)
    clients = [Client(url, seed, findings, over) for seed in range(_CLIENTS)]
    others = [threading.Thread(target=work, daemon=True) for work in (service.feed_and_index, service.back_up)]
    for thread in (*clients, *others):
        thread.start()
    memory = break_things(service, server, args.seconds)
    over.set()
    service.over.set()
    for thread in (*clients, *others):
        thread.join()
    facts = {"answers": dict(sorted(findings.answers.items())), "memory_mb": memory, "disk filled": service.own_disk}
    try:
        problems = [*service.failures, *findings.wrong[:10], *final_state(service, findings, url)]
    finally:
        service.server.kill()
    print(json.dumps(facts | {"scenes": service.made, "problems": problems}))  # noqa: T201
    return 1 if problems else 0


def break_things(service: Service, server: psutil.Process, seconds: float) -> list[int]:
    """Break one thing after another until the time is over; return the server's memory after each round."""
    breaks = (
        service.kill_a_worker,
        service.compact,
        service.kill_the_indexer,
        service.fill_the_disk,
        service.replace_by_a_backup,
        service.take_away_and_restore,
    )
    began, memory = time.monotonic(), []
    pause = max(0.5, min(10.0, seconds / len(breaks) / 2))
    while time.monotonic() - began < seconds:
        for one in breaks:
            time.sleep(pause)
            one()
        resident = sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))
        memory.append(resident >> 20)
    return memory


def final_state(service: Service, findings: Findings, url: str) -> list[str]:
    """Return what is wrong once all is calm: after one more run of the indexer, everything must be there."""
    problems = []
    if service.run("index", str(service.scenes), *_TILING, "--quiet"):
        problems.append("index: failed at the end; see the log")
    if service.run("verify", "--full"):
        problems.append("verify --full: found something; see the log")
    # Each worker opens the restored archive on its own.
    wait_until(lambda: all(answers(f"{url}search?limit=1") for _ in range(8)), 120)
    found = json.loads(get(f"{url}search?limit=1000"))["features"]
    scenes = {item["properties"]["bandsight:scene"] for item in found if "bandsight:scene" in item["properties"]}
    if len(scenes) != service.made:
        problems.append(f"list: {len(scenes)} of {service.made} scenes")
    for search, began in findings.saved.items():
        if began > service.restored and not answers(f"{url}searches/{search}"):
            problems.append(f"saved search {search} is gone")
    service.server.send_signal(signal.SIGTERM)
    if code := service.server.wait(60):
        problems.append(f"serve: ended with {code}")
    return problems


def answers(url: str) -> bool:
    """Return whether a server answers with 200."""
    try:
        get(url)
    except OSError:
        return False
    return True


def get(url: str) -> bytes:
    """Return what a server answers."""
    with urllib.request.urlopen(url, timeout=60) as response:
        content: bytes = response.read()
        return content


def wait_until(holds: Callable[[], bool], most_s: float) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
