"""The vectors of a segment on object storage: the whole file from the cache, or single rows by range requests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.segments import Segment
from bandsight.errors import ArchiveError
from bandsight.objects.cached import CachedObjects
from bandsight.vectors.local.segment_checks import file_checksum
from bandsight.vectors.local.segments import SUFFIX, Fp16Rows, MappedBody, mapped_body

# A whole file is downloaded once this share of it has been requested row by row.
_SHARE = 1 / 16


def key_of(segment: Segment) -> str:
    """Return the name of a segment's object."""
    return f"vectors/{segment.name}{SUFFIX}"


def verified(files: CachedObjects, segment: Segment, path: Path) -> None:
    """Download a segment's file and compare it with its checksum.

    Raises:
        ArchiveError: It is damaged.
        OSError: The file cannot be written.
    """
    files.objects.download(key_of(segment), path)
    if file_checksum(path) != segment.sha256:
        raise ArchiveError(f"{files}/{key_of(segment)}: does not match its checksum; run: bandsight repair")


@dataclass(slots=True)
class RemoteBody:
    """The vectors of an object; see `Body`."""

    files: CachedObjects
    segment: Segment
    dim: int
    start: int
    """Offset of the vectors in the file, bytes."""
    asked: int = field(default=0, init=False)
    """Number of bytes read row by row."""

    @property
    def rows(self) -> NDArray[np.float16]:
        """All vectors, from the cache, shape (n, dim)."""
        return self._mapped().rows

    @property
    def half(self) -> Fp16Rows:
        """Scores the vectors without copying them."""
        return self._mapped().half

    @property
    def on_demand(self) -> NDArray[np.float16]:
        """An object that loads vectors when it is indexed, so that only one segment at a time must be local."""
        return cast("NDArray[np.float16]", _OnDemand(self))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (rows, dim)."""
        return self.segment.count, self.dim

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        """Return some rows: from the file if it is local or much of it is needed, otherwise by ranges; see `Body`."""
        size = 2 * self.dim
        if not self.files.cache.has(self._name):
            self.asked += size * len(rows)
        if self.files.cache.has(self._name) or self.asked >= _SHARE * self._bytes:
            return self._mapped().take(rows)
        starts = (self.start + size * rows.astype(np.int64)).tolist()
        data = b"".join(self.files.objects.ranges(key_of(self.segment), starts, size))
        if len(data) != size * len(rows):
            raise ArchiveError(f"{self.files}/{key_of(self.segment)}: ends within its rows; run: bandsight repair")
        return np.frombuffer(data, "<f2").reshape(len(rows), self.dim)

    def forget(self) -> bool:
        """Delete the copy in the cache, because the object may be intact."""
        self.files.cache.forget(self._name)
        return True

    def _mapped(self) -> MappedBody:
        return self.files.cache.use(self._name, self._bytes, self._fill, self._load)

    def _fill(self, path: Path) -> None:
        verified(self.files, self.segment, path)
        self.asked = 0

    def _load(self, path: Path) -> MappedBody:
        with path.open("rb") as file:
            return mapped_body(file, self._name, self.segment, self.dim)

    @property
    def _name(self) -> str:
        return f"{self.segment.name}{SUFFIX}"

    @property
    def _bytes(self) -> int:
        return self.start + 2 * self.dim * self.segment.count


@dataclass(frozen=True, slots=True)
class _OnDemand:
    """The rows of a remote segment, as an array that is loaded when it is indexed."""

    body: RemoteBody

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (rows, dim)."""
        return self.body.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> Any:
        # A copy, because a view would keep the file's space in use after it has been evicted.
        return np.array(self.body.rows[at])
