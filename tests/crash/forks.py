"""SceneTask in a process of its own, forked so that it need not import anything."""

import os
import sys
import traceback
from collections.abc import Callable


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Start work and return the child's id and a pipe that ends when it does.

    Args:
        work: Called in the child with the pipe to write to; the child ends after it, with exit code 1 if it fails.
    """
    inbox, outbox = os.pipe()
    child = os.fork()
    if child:
        os.close(outbox)
        return child, inbox
    os.close(inbox)
    code = 1
    try:
        work(outbox)
        code = 0
    except BaseException:  # noqa: BLE001  (whatever it was, the child ends here)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(child: int, inbox: int) -> tuple[str, int]:
    """Wait for a child; return what it wrote, and its status as `os.waitpid` gives it."""
    with os.fdopen(inbox) as file:
        text = file.read()
    return text, os.waitpid(child, 0)[1]
