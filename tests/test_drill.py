"""The short form of `make drill`: a service while its workers, its indexer, its disk and its archive fail."""

import json
import socket

from tests.commands import run_module


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_service_in_which_everything_fails_once_loses_nothing_and_never_returns_wrong_results(tmp_path):
    folder, port = str(tmp_path / "drill"), str(free_port())
    done = run_module("tests.drill", "--seconds", "8", "--folder", folder, "--port", port)
    log = tmp_path / "drill" / "log"
    assert done.returncode == 0, done.stdout + done.stderr[-3000:] + (log.read_text()[-3000:] if log.exists() else "")
    facts = json.loads(done.stdout)
    assert facts["problems"] == []
    assert facts["answers"]["list"] >= 1
    assert facts["answers"]["search"] >= 1
