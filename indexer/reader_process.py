"""A process that decodes rasters: calls come in over a connection, answers go out, and it may crash."""

import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bandsight.errors import BandsightError, SceneError
from indexer import reader, tiling  # noqa: F401  (loaded before the confinement, so that no call pays for it)
from indexer.confine import limit_memory, read_only


def serve(connection: Connection) -> None:
    """Answer calls until the other side hangs up."""
    roots, memory = connection.recv()
    limit_memory(memory)
    read_only(roots)
    connection.send(True)
    while True:
        try:
            function, args, options = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, BandsightError | None]
        try:
            answer = (function(*args, **options), None)
        except BandsightError as error:
            answer = (None, error)
        except MemoryError:
            answer = (None, SceneError(f"it needs more than the {memory >> 20} MB that a reader may have"))
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the scene's, and is told with its name there)
            answer = (None, SceneError(f"{type(error).__name__}: {error}"))
        connection.send(answer)


def main(arguments: Sequence[str]) -> None:
    """Serve the connection whose file descriptor is the argument."""
    # What C libraries print must not mix with the command's results.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.chdir(Path(sys.prefix))
    serve(Connection(int(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
