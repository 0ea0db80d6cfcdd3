"""Records which large derived files have been verified, so that they are not read again whenever an archive is opened.

`index/checked.json` has each file's size, modification time, inode and checksum. These change if the file is modified
or replaced, but not if the disk damages it. `bandsight verify` ignores this record and reads every file.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bandsight.durable import flush

_NAME = "checked.json"
# Smaller files are read so fast that a record is not worthwhile.
_LARGE = 8 << 20

Mark = list[int | str]


class CheckedFiles:
    """The files of one folder."""

    def __init__(self, folder: Path, large: int = _LARGE) -> None:
        """Initialize with the folder, and the minimum size of files to record, bytes."""
        self._path, self._large = folder / _NAME, large

    def sound(self, file: Path, expected: str, checksum: Callable[[], str]) -> bool:
        """Return whether a file has a checksum; it is computed only if there is no record.

        Args:
            file: The file, in this folder.
            expected: Its checksum, hex.
            checksum: Reads the file and returns its checksum.

        Raises:
            OSError: The file cannot be read.
        """
        before = _mark(file, expected)
        if file.stat().st_size < self._large:
            return checksum() == expected
        if self._known().get(file.name) == before:
            return True
        if checksum() != expected:
            return False
        with suppress(OSError):
            # The file must be durable before it is recorded. The folder may be read-only.
            flush(file)
            if _mark(file, expected) == before:
                self._remember(file.name, before)
        return True

    def _known(self) -> dict[str, Mark]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _remember(self, name: str, mark: Mark) -> None:
        known = {one: kept for one, kept in self._known().items() if (self._path.parent / one).exists()}
        temporary = self._path.with_name(f".{_NAME}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps({**known, name: mark}))
        temporary.replace(self._path)


def _mark(file: Path, checksum: str) -> Mark:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino, checksum]
