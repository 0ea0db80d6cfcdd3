"""Runs a module of ours in a process of its own, so that what crashes or hangs there can be ended alone."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start(module: str, arguments: Sequence[str], files: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start a module, on one thread a process, with some of this process's open files.

    Args:
        module: Its name; its `main` calls `begin` first.
        arguments: What it is told.
        files: Descriptors that it inherits, under the same numbers.
    """
    environment = {
        **os.environ,
        # It finds the packages where this process has found them.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    # Ctrl-C is for who started it, and ends it.
    return subprocess.Popen(  # noqa: S603  (our own arguments)
        [sys.executable, "-P", "-W", "ignore", "-m", module, *arguments],
        env=environment,
        pass_fds=files,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def begin() -> None:
    """Settle in such a process: what C libraries print mixes with no results, and no folder of a user's is held."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.chdir(Path(sys.prefix))
