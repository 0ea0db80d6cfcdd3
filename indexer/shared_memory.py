"""Communication between a job and a reader: messages over a connection, pixels through shared memory."""

import io
import mmap
import os
import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Size of the shared memory. Larger results, and all on systems without it, are copied over the connection.
_ROOM = 16 << 20


class _Pickler(pickle.Pickler):
    """Pickles views of one array as views, so that the data is sent once."""

    def reducer_override(self, obj: Any) -> Any:
        base = getattr(obj, "base", None)
        if not isinstance(obj, np.ndarray) or not isinstance(base, np.ndarray):
            return NotImplemented
        if obj.flags.c_contiguous or not base.flags.c_contiguous or base.dtype != obj.dtype:
            return NotImplemented
        offset = obj.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        return _part, (base, obj.shape, offset, obj.strides)


def _part(base: NDArray[Any], shape: tuple[int, ...], offset: int, strides: tuple[int, ...]) -> NDArray[Any]:
    return np.ndarray(shape, base.dtype, base.reshape(-1).data, offset, strides)


class Channel:
    """One end of the channel."""

    def __init__(self, connection: Connection, memory: mmap.mmap | None) -> None:
        self.connection, self._memory = connection, memory

    @classmethod
    def joined(cls, connection: Connection, file: int) -> Self:
        """Return a channel for a connection and a shared memory file descriptor, -1 for none."""
        return cls(connection, mmap.mmap(file, _ROOM) if file >= 0 else None)

    def send(self, value: Any) -> None:
        """Send a picklable value."""
        arrays: list[pickle.PickleBuffer] = []
        out = io.BytesIO()
        _Pickler(out, protocol=5, buffer_callback=arrays.append).dump(value)
        data = out.getvalue()
        views = [array.raw() for array in arrays]
        sizes = [view.nbytes for view in views]
        if self._memory is None or sum(sizes) > _ROOM:
            self.connection.send((pickle.dumps(value, protocol=5), []))
            return
        at = 0
        for view, size in zip(views, sizes, strict=True):
            self._memory[at : at + size] = view
            at += size
        self.connection.send((data, sizes))

    def receive(self) -> Any:
        """Receive a value from the other end.

        Raises:
            EOFError: The other end has closed.
        """
        data, sizes = self.connection.recv()
        if self._memory is None or not sizes:
            return pickle.loads(data)  # noqa: S301  (our own process)
        # Copy once, because the next message reuses the memory.
        with memoryview(self._memory) as shared, shared[: sum(sizes)] as used:
            whole = memoryview(bytearray(used))
        arrays, at = [], 0
        for size in sizes:
            arrays.append(whole[at : at + size])
            at += size
        return pickle.loads(data, buffers=arrays)  # noqa: S301  (as above)

    def close(self) -> None:
        """Close the channel."""
        self.connection.close()
        if self._memory is not None:
            self._memory.close()


def shared_memory() -> int:
    """Return the file descriptor of memory that child processes can share, -1 if unsupported."""
    if sys.platform != "linux":
        return -1
    file = os.memfd_create("bandsight")
    os.ftruncate(file, _ROOM)
    return file
