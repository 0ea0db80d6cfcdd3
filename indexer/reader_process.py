"""A process that decodes rasters: calls come in over a connection, answers go out, and it may crash."""

import socket
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import rasterio

from bandsight.errors import BandsightError, SceneError
from bandsight.raster import subprocesses
from bandsight.raster.sandbox import limit_memory, read_only

# The second one is loaded before the readers are forked, so that no call waits for it.
from indexer import reader, tiling  # noqa: F401
from indexer.forkserver import answer
from indexer.shared_memory import Channel


def serve(files: list[int]) -> None:
    """Answer calls until the other side hangs up.

    Args:
        files: Descriptors of the connection and, where there is any, of the shared memory.
    """
    connection, *memory_file = files
    channel = Channel.joined(Connection(connection), memory_file[0] if memory_file else -1)
    roots, memory = channel.receive()
    limit_memory(memory)
    read_only(roots)
    reader.bounded_cache = True
    channel.send(True)
    _answer(channel, memory)


def _answer(channel: Channel, memory: int) -> None:
    while True:
        try:
            function, args, options = channel.receive()
        except (EOFError, OSError):
            return
        answer: tuple[Any, BandsightError | None]
        try:
            answer = (function(*args, **options), None)
        except BandsightError as error:
            answer = (None, error)
        except MemoryError:
            answer = (None, SceneError(f"it needs more than the {memory >> 20} MB that a reader may have"))
        except Exception as error:  # noqa: BLE001  (any error is the scene's, and is reported with its name)
            answer = (None, SceneError(f"{type(error).__name__}: {error}"))
        channel.send(answer)


def main(arguments: Sequence[str]) -> None:
    """Fork such processes as the connection asks whose file descriptor is the argument."""
    subprocesses.begin()
    # Drivers are registered here, once.
    with socket.socket(fileno=int(arguments[0])) as control, rasterio.Env():
        answer(control, serve)


if __name__ == "__main__":
    main(sys.argv[1:])
