"""A process that runs one command and ends with its parent: `python -m bandsight.cli.job_process index …`.

The parent holds the other end of standard input open. When it closes it or dies, the command is interrupted as by
Ctrl-C, and killed if it does not end in time.
"""

import os
import signal
import threading
import time

from bandsight.cli.entry_point import main

GRACE_S = 20.0
"""Seconds a command may take to end."""


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="bandsight-parent", daemon=True).start()
    main()
