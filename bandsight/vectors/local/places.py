"""Places of segment files: a local folder, or object storage with copies in a cache."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bandsight.attributes.segments import Segment
from bandsight.durable import copy_file, flush, link_or_copy
from bandsight.errors import ArchiveError
from bandsight.objects.cached import CachedObjects
from bandsight.objects.store import ObjectMissingError
from bandsight.vectors.atomic_io import cannot_write, write_durably
from bandsight.vectors.local.cell_files import SUFFIX as CELLS
from bandsight.vectors.local.column_files import SUFFIX as COLUMNS
from bandsight.vectors.local.remote_body import RemoteBody, key_of
from bandsight.vectors.local.segment_checks import checksum, file_checksum
from bandsight.vectors.local.segments import (
    HEADER,
    SUFFIX,
    OpenSegment,
    checked_version,
    mapped_head,
    open_segment,
    rows_at,
)

HEADS = ".bsh"
"""Suffix of local copies of the start of remote segment files: header, ids and checks."""
_WAY_OUT = "restore it from a backup, or run: bandsight repair"


class SegmentPlace(Protocol):
    """Stores immutable segment files."""

    def write(self, segment: Segment, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file durably; writing the same one again is safe.

        Raises:
            ArchiveError: It cannot be written.
        """

    def open(self, segment: Segment, dim: int) -> OpenSegment:
        """Open a file.

        Raises:
            ArchiveError: It is missing, or does not match the catalog.
        """

    def check(self, segment: Segment, dim: int, *, full: bool) -> bool:
        """Return whether a file is intact; see `open`. Only `full` reads all of it."""

    def exists(self, segment: Segment) -> bool:
        """Return whether a file exists."""

    def read(self, segment: Segment) -> bytes:
        """Return the contents of a file, even if damaged; empty if it does not exist."""

    def copy_to(self, segment: Segment, folder: Path) -> None:
        """Copy a file to a local folder; the caller flushes the folder.

        Raises:
            FileNotFoundError: It does not exist.
            OSError: The copy cannot be written.
        """

    def take(self, segment: Segment, file: Path) -> None:
        """Add a local file durably, unless it exists already.

        Raises:
            OSError: It cannot be read or written.
            ArchiveError: The storage rejects it.
        """

    def trusts_heads(self) -> bool:
        """Return whether ids may be used before the whole file has been read."""

    def put_columns(self, segment: Segment, file: Path) -> None:
        """Publish the columns of a segment, if there are other machines."""

    def fetch_columns(self, segment: Segment, file: Path) -> bool:
        """Write the published columns to a file, and return whether there were any."""

    def remove_unnamed(self, named: set[str]) -> list[str]:
        """Delete files that no commit names, and return their names."""


class FolderPlace:
    """A `SegmentPlace` in a folder."""

    def __init__(self, folder: Path) -> None:
        """Initialize with an existing folder."""
        self._folder = folder

    def path_of(self, segment: Segment) -> Path:
        """Return the path of a file."""
        return self._folder / f"{segment.name}{SUFFIX}"

    def write(self, segment: Segment, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file durably."""
        write_durably(self.path_of(segment), parts)

    def open(self, segment: Segment, dim: int) -> OpenSegment:
        """Map a file."""
        return open_segment(self._folder, segment, dim)

    def check(self, segment: Segment, dim: int, *, full: bool) -> bool:
        """Compare a file with the catalog."""
        self.open(segment, dim)
        return not full or file_checksum(self.path_of(segment)) == segment.sha256

    def exists(self, segment: Segment) -> bool:
        """Return whether a file exists."""
        return self.path_of(segment).exists()

    def read(self, segment: Segment) -> bytes:
        """Return the contents of a file; empty if it cannot be read."""
        try:
            return self.path_of(segment).read_bytes()
        except OSError:
            return b""

    def copy_to(self, segment: Segment, folder: Path) -> None:
        """Copy a file."""
        copy_file(self.path_of(segment), folder / f"{segment.name}{SUFFIX}")

    def take(self, segment: Segment, file: Path) -> None:
        """Hard-link or copy a file here; the caller flushes the folder."""
        link_or_copy(file, self.path_of(segment))

    def trusts_heads(self) -> bool:
        """Verify the whole file, because it is local."""
        return False

    def put_columns(self, segment: Segment, file: Path) -> None:
        """Do nothing, because they are in the folder."""

    def fetch_columns(self, segment: Segment, file: Path) -> bool:  # noqa: ARG002  (there are no others)
        """Return False, because there are none."""
        return False

    def remove_unnamed(self, named: set[str]) -> list[str]:
        """Delete files that no commit names."""
        paths = [path for path in self._folder.iterdir() if path.suffix != CELLS]
        stale = [path for path in paths if path.suffix != SUFFIX or path.stem not in named]
        for path in stale:
            path.unlink()
        return [path.name for path in stale]


class ObjectPlace:
    """A `SegmentPlace` on object storage.

    Each machine stores the start of every file (12 bytes per tile), and caches whole files.
    """

    def __init__(self, files: CachedObjects, heads: Path) -> None:
        """Initialize.

        Args:
            files: The storage and its cache.
            heads: Folder of the starts of files.
        """
        self._files, self._heads = files, heads

    def write(self, segment: Segment, parts: Iterable[bytes | memoryview]) -> None:
        """Upload a file, and check that it arrived."""
        self._files.objects.put(key_of(segment), b"".join(parts))

    def open(self, segment: Segment, dim: int) -> OpenSegment:
        """Download the start of a file unless it is there, and map it."""
        path = self._heads / f"{segment.name}{HEADS}"
        if not path.exists():
            self._fetch_head(segment, dim, path)
        try:
            with path.open("rb") as file:
                header = file.read(HEADER.size)
                start = os.fstat(file.fileno()).st_size
                size = start + 2 * dim * segment.count
                version = checked_version(header, size, segment, dim, path, "delete it: it is read again")
                ids, checks = mapped_head(file, version, segment)
        except (ArchiveError, FileNotFoundError):
            # A small copy, which is downloaded again.
            path.unlink(missing_ok=True)
            raise
        return OpenSegment(
            name=f"{segment.name}{SUFFIX}",
            ids=ids,
            checks=checks,
            body=RemoteBody(self._files, segment, dim, start),
            first_id=segment.first_id,
            last_id=int(ids[-1]),
        )

    def check(self, segment: Segment, dim: int, *, full: bool) -> bool:
        """Compare the object with the catalog, ignoring local copies."""
        header, size = self._files.objects.beginning(key_of(segment), HEADER.size)
        checked_version(header, size, segment, dim, f"{self._files}/{key_of(segment)}", _WAY_OUT)
        return not full or checksum(self._files.objects.parts(key_of(segment))) == segment.sha256

    def exists(self, segment: Segment) -> bool:
        """Return whether the object exists."""
        return self._files.objects.exists(key_of(segment))

    def read(self, segment: Segment) -> bytes:
        """Return the object."""
        try:
            return self._files.objects.get(key_of(segment))
        except ObjectMissingError:
            return b""

    def copy_to(self, segment: Segment, folder: Path) -> None:
        """Download a file."""
        target = folder / f"{segment.name}{SUFFIX}"
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            self._files.objects.download(key_of(segment), temporary)
            flush(temporary)
            temporary.replace(target)
        except ObjectMissingError as error:
            raise FileNotFoundError(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)

    def take(self, segment: Segment, file: Path) -> None:
        """Upload a file unless it exists, and read it back to verify it."""
        objects, key = self._files.objects, key_of(segment)
        if objects.exists(key) and checksum(objects.parts(key)) == segment.sha256:
            return
        objects.put(key, file.read_bytes())
        if checksum(objects.parts(key)) != segment.sha256:
            raise ArchiveError(f"{self._files}/{key}: differs from {file}; run the same again")

    def trusts_heads(self) -> bool:
        """Return True, because the check of each row, verified when it is read, covers its id."""
        return True

    def put_columns(self, segment: Segment, file: Path) -> None:
        """Upload columns."""
        if file.exists():
            self._files.objects.put(f"vectors/{segment.name}{COLUMNS}", file.read_bytes())

    def fetch_columns(self, segment: Segment, file: Path) -> bool:
        """Download columns; they are checked when they are opened."""
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            self._files.objects.download(f"vectors/{segment.name}{COLUMNS}", temporary)
            temporary.replace(file)
        except ObjectMissingError:
            return False
        except OSError as error:
            raise cannot_write(file, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def remove_unnamed(self, named: set[str]) -> list[str]:
        """Delete objects that no commit names, once they are so old that no writer can still commit them."""
        least = self._files.objects.place.keep_unnamed_s
        stale = [
            entry.key
            for entry in self._files.objects.list("vectors/")
            if Path(entry.key).stem not in named and entry.age_s >= least
        ]
        self._files.objects.delete(stale)
        return [Path(key).name for key in stale]

    def _fetch_head(self, segment: Segment, dim: int, path: Path) -> None:
        key = key_of(segment)
        head, size = self._files.objects.beginning(key, rows_at(segment.count))
        checked_version(head, size, segment, dim, f"{self._files}/{key}", _WAY_OUT)
        # Files of version 1 have no ids.
        head = head[: size - 2 * dim * segment.count]
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(head)
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            temporary.unlink(missing_ok=True)
