"""A process that decodes rasters: calls come in over a connection, answers go out, and it may crash."""

import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import rasterio

from bandsight import own_process
from bandsight.confine import limit_memory, read_only
from bandsight.errors import BandsightError, SceneError

# The last one is loaded before the confinement, so that no call pays for it.
from indexer import reader, tiling  # noqa: F401
from indexer.channel import Channel


def serve(channel: Channel) -> None:
    """Answer calls until the other side hangs up."""
    roots, memory = channel.receive()
    limit_memory(memory)
    read_only(roots)
    reader.bounded_cache = True
    channel.send(True)
    with rasterio.Env():
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
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the scene's, and is told with its name there)
            answer = (None, SceneError(f"{type(error).__name__}: {error}"))
        channel.send(answer)


def main(arguments: Sequence[str]) -> None:
    """Serve the connection and the shared memory whose file descriptors are the arguments."""
    own_process.begin()
    serve(Channel.joined(Connection(int(arguments[0])), int(arguments[1])))


if __name__ == "__main__":
    main(sys.argv[1:])
