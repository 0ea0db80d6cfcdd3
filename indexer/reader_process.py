"""Reader process: decodes rasters for calls received over a connection. It may crash."""

import socket
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import rasterio

from bandsight.errors import BandsightError, SceneError
from bandsight.raster import subprocesses
from bandsight.raster.sandbox import limit_memory, read_only

# `tiling` is loaded before readers are forked, so that no call waits for it.
from indexer import reader, tiling  # noqa: F401
from indexer.forkserver import answer
from indexer.shared_memory import Channel


def serve(files: list[int]) -> None:
    """Serve calls until the client disconnects.

    Args:
        files: File descriptors of the connection and, if any, of the shared memory.
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
            answer = (None, SceneError(f"it needs more than the {memory >> 20} MB memory limit of a reader"))
        except Exception as error:  # noqa: BLE001  (any error is reported for the scene)
            answer = (None, SceneError(f"{type(error).__name__}: {error}"))
        channel.send(answer)


def main(arguments: Sequence[str]) -> None:
    """Run the fork server on the connection whose file descriptor is the argument."""
    subprocesses.begin()
    # Register GDAL drivers once, before forking.
    with socket.socket(fileno=int(arguments[0])) as control, rasterio.Env():
        answer(control, serve)


if __name__ == "__main__":
    main(sys.argv[1:])
