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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

USER = "bandsight"
"""The superuser of the PostgreSQL server."""
MILVUS_VENV = Path(__file__).parents[2] / ".venv-milvus"
"""Environment of the package `milvus`, which carries the server."""
_START_S = 300
_ETCD_PORTS = (2379, 2380)


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
        for one in self._processes():
            one.suspend()

    def go_on(self) -> None:
        """Undo `pause`."""
        for one in self._processes():
            one.resume()

    def log(self) -> str:
        """Return the end of what it wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _processes(self) -> list[psutil.Process]:
        """Return the process that was started, last, and all that it has started."""
        assert self.process is not None
        first = psutil.Process(self.process.pid)
        return [*first.children(recursive=True), first]

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        mine = self._processes() if self.process.poll() is None else []
        # Asked to end, the first one sees to the others; a crash takes all of them.
        for one in mine if how is signal.SIGKILL else mine[-1:]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(how)
        _, alive = psutil.wait_procs(mine, 60)
        for one in alive:
            one.kill()
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
    with server_folder() as folder:
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
            return popen(command, folder, **_as_user())

        def ready(server: Server) -> bool:
            command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)]
            return subprocess.run(command, check=False).returncode == 0

        server = Server("PostgreSQL", free_port(), folder, start, ready)
        with running(server):
            yield server


@contextmanager
def milvus() -> Iterator[Server]:
    """Run a Milvus server of version 2.3.5, which PyPI has; one on a machine, for its etcd has fixed ports."""
    program = milvus_program()
    if taken := [port for port in _ETCD_PORTS if listens(port)]:
        raise RuntimeError(f"Milvus needs port {taken[0]}, where something listens already: end it first")
    with server_folder() as folder:

        def start(server: Server) -> subprocess.Popen[bytes]:
            # Where connections to a killed server linger, the program that writes its settings takes the next port
            # and tells nobody; the environment is stronger than its file.
            port = str(server.port)
            command = [str(program), "--data", str(folder / "data"), "--proxy-port", port]
            return popen(command, folder, env={**os.environ, "PROXY_PORT": port})

        with running(server := Server("Milvus", free_port(), folder, start, _milvus_answers)):
            yield server


def _milvus_answers(server: Server) -> bool:
    from pymilvus import MilvusClient, MilvusException

    if not listens(server.port):
        return False
    try:
        client = MilvusClient(uri=f"http://127.0.0.1:{server.port}", timeout=5)
    except MilvusException:
        return False
    try:
        client.list_collections()
    except MilvusException:
        return False
    finally:
        client.close()
    return True


def milvus_program() -> Path:
    """Return the program that starts Milvus.

    Raises:
        EngineMissingError: It is not installed.
    """
    program = MILVUS_VENV / "bin" / "milvus-server"
    if not program.exists():
        raise EngineMissingError("Milvus is not installed")
    return program


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
def running(server: Server) -> Iterator[None]:
    """Run a server for as long as the body."""
    try:
        server.run()
        yield
    finally:
        server.stop()


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder for a server, and delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bandsight-cluster-"))
    user = _as_user().get("user")
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def popen(command: list[str], folder: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start a server that writes its log into its folder."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )


def _as_user() -> dict[str, str]:
    """Return how to start a process: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {one.pw_name for one in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in names else "nobody"}
