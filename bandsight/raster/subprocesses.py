"""Runs a module in a separate process, so that a crash or hang stays isolated."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start(module: str, arguments: Sequence[str], files: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start a module in a single-threaded process that inherits some open files.

    Args:
        module: Name of the module. Its `main` must call `begin` first.
        arguments: Command-line arguments.
        files: File descriptors to inherit, under the same numbers.
    """
    environment = {
        **os.environ,
        # Use the same module search path as this process.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    # Ctrl-C goes to the parent, which terminates this process.
    return subprocess.Popen(  # noqa: S603  (our own arguments)
        [sys.executable, "-P", "-W", "ignore", "-m", module, *arguments],
        env=environment,
        pass_fds=files,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def begin() -> None:
    """Set up such a process: redirect stdout of C libraries to stderr, and leave the user's working directory."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.chdir(Path(sys.prefix))
