"""Writes exports to disk atomically."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bandsight.errors import BandsightError


def save(path: Path, parts: Iterable[bytes]) -> Path:
    """Write a file from chunks and return its path.

    Raises:
        BandsightError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with _as_ours(path):
            file = partial.open("wb")
        with file:
            for part in parts:
                with _as_ours(path):
                    file.write(part)
        with _as_ours(path):
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


@contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BandsightError(
            f"{path}: cannot be written ({error.strerror}); check that its folder exists and has space"
        ) from error
