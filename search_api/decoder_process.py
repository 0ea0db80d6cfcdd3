"""A process that decodes pictures which strangers have sent: it may read no file, and may hang or crash alone."""

import json
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

# Loaded before the confinement, as all that decoding needs.
import numpy as np
import rasterio
from numpy.typing import NDArray

from bandsight import query_image
from bandsight.errors import BandsightError, ImageError
from bandsight.raster import drivers, subprocesses  # noqa: F401
from bandsight.raster.sandbox import limit_memory, read_only

_Decoded = tuple[NDArray[np.uint8], tuple[float, ...]]


def serve(connection: Connection, memory: int) -> None:
    """Answer requests until the other side hangs up.

    A request is JSON (`wavelengths`, `max_pixels`) and the file; an answer is JSON (`shape` and `wavelengths`, or
    `error`) and the pixels. No pickles: whoever took this process over could take the other one with them.
    """
    connection.send_bytes(b"ready")
    while True:
        try:
            asked, data = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            pixels, waves = _decoded(data, asked["wavelengths"], asked["max_pixels"], memory)
        except BandsightError as error:
            connection.send_bytes(json.dumps({"error": str(error)}).encode())
        else:
            connection.send_bytes(json.dumps({"shape": pixels.shape, "wavelengths": waves}).encode())
            connection.send_bytes(pixels.tobytes())


def _decoded(data: bytes, wavelengths: list[float] | None, max_pixels: int, memory: int) -> _Decoded:
    try:
        return query_image.decode_query_image(data, wavelengths, max_pixels=max_pixels)
    except MemoryError as error:
        raise ImageError(
            f"query image: decoding it needs more than the {memory >> 20} MB allowed; send a smaller one"
        ) from error


def main(arguments: Sequence[str]) -> None:
    """Serve the connection whose file descriptor is the first argument, in as much memory as the second says."""
    subprocesses.begin()
    descriptor, memory = (int(argument) for argument in arguments)
    limit_memory(memory)
    read_only(())
    with rasterio.Env():
        serve(Connection(descriptor), memory)


if __name__ == "__main__":
    main(sys.argv[1:])
