"""A sandboxed process that decodes uploaded images. It cannot open files, and may hang or crash."""

import json
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

# Everything that decoding needs is imported here, because the sandbox forbids opening files later.
import numpy as np
import rasterio
from numpy.typing import NDArray

from bandsight import query_image
from bandsight.errors import BandsightError, ImageError
from bandsight.raster import drivers, subprocesses  # noqa: F401
from bandsight.raster.sandbox import limit_memory, read_only

_NICE = 10
_PixelsAndWavelengths = tuple[NDArray[np.uint8], tuple[float, ...]]


def serve(connection: Connection, memory_bytes: int) -> None:
    """Serve requests until the other end closes the connection.

    A request is JSON (`wavelengths`, `max_pixels`) and the file. A response is JSON (`shape` and `wavelengths`, or
    `error`) and the pixels. Pickle is not used, because an attacker who controls this process could use it to take over
    the server.
    """
    connection.send_bytes(b"ready")
    while True:
        try:
            request, data = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            pixels, wavelengths = _decode(data, request["wavelengths"], request["max_pixels"], memory_bytes)
        except BandsightError as error:
            connection.send_bytes(json.dumps({"error": str(error)}).encode())
        else:
            connection.send_bytes(json.dumps({"shape": pixels.shape, "wavelengths": wavelengths}).encode())
            connection.send_bytes(pixels.tobytes())


def _decode(data: bytes, wavelengths: list[float] | None, max_pixels: int, memory_bytes: int) -> _PixelsAndWavelengths:
    try:
        return query_image.decode_query_image(data, wavelengths, max_pixels=max_pixels)
    except MemoryError as error:
        raise ImageError(
            f"query image: decoding needs more than the {memory_bytes >> 20} MB allowed; send a smaller one"
        ) from error


def main(arguments: Sequence[str]) -> None:
    """Serve one connection.

    Args:
        arguments: File descriptor of the connection, and address space in bytes.
    """
    subprocesses.begin()
    # Text queries have priority over decoding.
    os.nice(_NICE)
    descriptor, memory_bytes = (int(argument) for argument in arguments)
    limit_memory(memory_bytes)
    read_only(())
    with rasterio.Env():
        serve(Connection(descriptor), memory_bytes)


if __name__ == "__main__":
    main(sys.argv[1:])
