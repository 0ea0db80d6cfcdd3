"""A process that runs one command and ends with its parent: `python -m bandsight.cli.job_process index …`.

The parent holds the other end of standard input open. When it closes it or dies, the command is interrupted as by
Ctrl-C, and killed if it does not end in time. What the command reports of its progress is in the file that the
variable `BANDSIGHT_PROGRESS_FILE` names.
"""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from bandsight import progress
from bandsight.cli.entry_point import main

GRACE_S = 20.0
"""Seconds a command may take to end."""


_EVERY_S = 0.5


class _File:
    """Keeps the newest share in a file, which a reader never sees half written."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._last = float("-inf")

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._last < _EVERY_S:
            return
        self._last = time.monotonic()
        with suppress(OSError):
            self._part.write_text(f"{share:.4f}", encoding="ascii")
            self._part.replace(self._path)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="bandsight-parent", daemon=True).start()
    if file := os.environ.get(progress.FILE_VARIABLE):
        with progress.listening(_File(Path(file))):
            main()
    else:
        main()
