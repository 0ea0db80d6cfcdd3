"""Series of backups that share unchanged files, and restoring from them."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bandsight.archive.admin import back_up, copy_keys, upgrade, verify
from bandsight.archive.lock import WriterLock
from bandsight.archive.open import ENGINES, Engines, Where, archive_exists, embedded, locate
from bandsight.archive.reader import Archive
from bandsight.archive.writer import ArchiveWriter
from bandsight.durable import copy_file, flush, link_or_copy, make_folder
from bandsight.errors import ArchiveError, ArchiveLockedError, ModelChangedError
from bandsight.vectors.atomic_io import cannot_write

_NAME = "%Y-%m-%dT%H-%M-%S-%fZ"
_NAMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{6}Z")
_STAGING = "restore"
_CATALOG = "catalog.sqlite"
# Folders in a backup.
_PARTS = ("vectors", "index")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBackup:
    """A completed backup."""

    path: Path
    """Its folder, itself an archive."""
    generation: int
    """The archive generation it holds."""
    deleted: tuple[Path, ...]
    """Older backups that were deleted."""


def backups_in(folder: Path) -> list[Path]:
    """Return the complete backups of a series, oldest first."""
    found = sorted(path for path in folder.glob("*") if _NAMED.fullmatch(path.name))
    return [path for path in found if archive_exists(embedded(path))]


def add_backup(archive: Archive, folder: Path, keep: int) -> MadeBackup:
    """Add a backup to a series while searches and writes continue, and delete the oldest ones.

    Vector files already in the newest backup are verified by checksum and hard-linked instead of copied.

    Args:
        archive: An open archive.
        folder: Folder of the series; created if missing.
        keep: Number of backups to keep, including the new one; at least 1.

    Raises:
        ArchiveError: The folder cannot be written, or a file of the archive is damaged. Earlier backups stay.
        ArchiveLockedError: Another backup is being added.
    """
    try:
        make_folder(folder)
        with FileLock(folder / "lock", timeout=0):
            earlier = backups_in(folder)
            target = folder / datetime.now(UTC).strftime(_NAME)
            generation = back_up(archive, target, earlier[-1] if earlier else None)
            kept = [*earlier, target][-keep:]
            # Older backups and incomplete ones.
            old = [path for path in folder.glob("*") if _NAMED.fullmatch(path.name) and path not in kept]
            for path in old:
                shutil.rmtree(path)
    except Timeout as error:
        raise ArchiveLockedError(f"{folder}: another backup is running there; wait until it is done") from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    return MadeBackup(path=target, generation=generation, deleted=tuple(path for path in old if path in earlier))


def restore(source: Path, where: Where, *, replace: bool = False, engines: Engines = ENGINES) -> int:
    """Restore an archive from a fully verified backup and return its generation; an older schema is upgraded.

    Args:
        source: A backup, or the folder of a series for its newest backup. It is not changed.
        where: Folder of the archive.
        replace: Replace the content of an existing archive in one commit; searches continue. The archive keeps its
            current API keys, so revoked keys stay revoked.
        engines: The engines that may open its parts.

    Raises:
        ArchiveError: There is no backup, it is damaged, an archive already exists, or the disk is full.
        ArchiveLockedError: Another process is writing to the archive.
    """
    place = locate(where)
    if place != embedded(place.folder):
        raise ArchiveError(
            f"{place}: names other engines; restore into a plain folder, then run: bandsight migrate-archive"
        )
    backup = _backup_at(source)
    if backup.resolve() == place.folder.resolve():
        raise ArchiveError(f"{backup}: is the backup itself; pass the archive's folder")
    there = archive_exists(place, engines)
    if there and not replace:
        raise ArchiveError(
            f"{place}: there is already an archive here; choose another folder, move it away, or pass --replace to "
            "replace all that it holds"
        )
    staging = place.folder / _STAGING
    try:
        if there:
            return _replaced(backup, staging, place.folder, engines)
        make_folder(place.folder)
        lock = WriterLock(place.folder)
        try:
            return _made(backup, staging, place.folder, engines)
        finally:
            lock.release()
    except OSError as error:
        raise cannot_write(place.folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _backup_at(source: Path) -> Path:
    if archive_exists(embedded(source)):
        return source
    series = backups_in(source) if source.is_dir() else []
    if not series:
        raise ArchiveError(f"{source}: no backup here; pass a folder that `bandsight backup` wrote")
    return series[-1]


def _stage(backup: Path, staging: Path) -> None:
    """Copy a backup's files durably, upgrade their schema, and verify them in full."""
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    for part in _PARTS:
        make_folder(staging / part)
        for file in _files(backup / part):
            copy_file(file, staging / part / file.name)
        flush(staging / part)
    copy_file(backup / _CATALOG, staging / _CATALOG)
    flush(staging)
    try:
        upgrade(embedded(staging))
        with Archive.open(embedded(staging)) as copied:
            problems = verify(copied, full=True)
    except ArchiveError as error:
        problems = [str(error)]
    if problems:
        raise ArchiveError(f"{backup}: the backup is damaged, restore an older one; first problem: {problems[0]}")


def _made(backup: Path, staging: Path, folder: Path, engines: Engines) -> int:
    _stage(backup, staging)
    for part in _PARTS:
        make_folder(folder / part)
        for file in _files(staging / part):
            link_or_copy(file, folder / part / file.name)
        flush(folder / part)
    copy_keys(backup, folder)
    # The catalog is renamed into place last; until then there is no archive.
    (staging / _CATALOG).replace(folder / _CATALOG)
    flush(folder)
    with Archive.open(embedded(folder), engines) as made:
        return made.generation


def _replaced(backup: Path, staging: Path, folder: Path, engines: Engines) -> int:
    try:
        opened = ArchiveWriter.open(embedded(folder), engines)
    except (ArchiveLockedError, ModelChangedError):
        raise
    except ArchiveError as error:
        raise ArchiveError(f"{error}; or stop the server, move {folder} away, and restore without --replace") from error
    with opened as archive:
        _stage(backup, staging)
        archive.finish_index()
        with Archive.open(embedded(staging), engines) as copied:
            with copied.database.reading() as catalog:
                segments = catalog.segments()
            archive.store.adopt(copied.store, segments)
            copied.close()
            generation = archive.database.replace_by(copied.database)
        archive.reopen()
        return generation


def _files(folder: Path) -> Sequence[Path]:
    return sorted(file for file in folder.glob("*") if file.is_file() and not file.name.startswith("."))
