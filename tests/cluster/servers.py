"""Real engines, each a process of its own on loopback, started on a free port and stopped with its data deleted."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "bandsight"
"""The superuser of the PostgreSQL server."""
_START_S = 90


class EngineMissingError(Exception):
    """An engine is not installed; `python -m tests.cluster.install` installs it."""


@dataclass(slots=True)
class Server:
    """A running engine."""

    name: str
    port: int
    folder: Path
    start: Callable[["Server"], subprocess.Popen[bytes]]
    ready: Callable[["Server"], bool]
    process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: It ends, or does not answer in time.
        """
        self.process = self.start(self)
        limit = time.monotonic() + _START_S
        while not self.ready(self):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"{self.name} did not start: {self.log()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a crash does, with all of its processes."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGINT)

    def pause(self) -> None:
        """Stop its processes where they are: it takes connections, and does not answer."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `pause`."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def log(self) -> str:
        """Return the end of what it wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            # Of its own group only: it began a session. PostgreSQL's workers have groups of their own and follow it.
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self.process = None


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def postgres() -> Iterator[Server]:
    """Run a PostgreSQL server without passwords for its superuser, and with one for the user `reader`."""
    programs = postgres_programs()
    with _folder() as folder:
        data = folder / "data"
        initdb = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-A",
            "scram-sha-256",
            "-U",
            USER,
            f"--pwfile={folder / 'pw'}",
        ]
        (folder / "pw").write_text("secret\n")
        made = subprocess.run(initdb, capture_output=True, check=False, **_as_user())
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.decode()[-1000:]}")

        def start(server: Server) -> subprocess.Popen[bytes]:
            # What is written survives a killed server, not a power cut; that is enough here.
            settings = (
                "fsync=off",
                f"unix_socket_directories={folder}",
                "listen_addresses=127.0.0.1",
                "max_wal_size=4GB",
            )
            command = [str(programs / "postgres"), "-D", str(data), "-p", str(server.port)]
            command += [word for setting in settings for word in ("-c", setting)]
            return _popen(command, folder)

        def ready(server: Server) -> bool:
            command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)]
            return subprocess.run(command, check=False).returncode == 0

        server = Server("PostgreSQL", free_port(), folder, start, ready)
        with _running(server):
            yield server


def postgres_programs() -> Path:
    """Return the folder of the newest server that is installed.

    Raises:
        EngineMissingError: There is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise EngineMissingError("PostgreSQL is not installed")


@contextmanager
def _running(server: Server) -> Iterator[None]:
    try:
        server.run()
        yield
    finally:
        server.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bandsight-cluster-"))
    user = _as_user().get("user")
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _popen(command: list[str], folder: Path, **options: object) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **_as_user(), **options
        )


def _as_user() -> dict[str, str]:
    """Return how to start a process: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {one.pw_name for one in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in names else "nobody"}
