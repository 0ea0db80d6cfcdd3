"""Runs commands: the command line in the test's own process, modules and code in separate ones."""

import os
import subprocess
import sys
from pathlib import Path

from bandsight import cli

ROOT = Path(__file__).parents[1]


def run_command(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr, as `bandsight` gives them in a shell."""
    monkeypatch.setattr(sys, "argv", ["bandsight", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_module(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module in a separate process, and return its status and output."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", name, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def started(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start code in a separate process, and return it after its first line of output."""
    job = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert job.stdout is not None
    job.stdout.readline()
    return job
