"""Operations on an archive as a whole: upgrade, repair, verify, back up, and replacement by another archive."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bandsight.archive.claims import check_own, claim
from bandsight.archive.footprint_cache import FootprintCache
from bandsight.archive.lock import WriterLock
from bandsight.archive.open import ENGINES, Engines, Where, locate
from bandsight.archive.reader import Archive
from bandsight.archive.repair import Repair
from bandsight.archive.search_files import import_search_files
from bandsight.archive.tile_columns import tile_columns
from bandsight.archive.verification import problems_of
from bandsight.archive.writer import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.durable import copy_file, flush, make_folder
from bandsight.errors import ArchiveError
from bandsight.vectors.atomic_io import cannot_write
from bandsight.vectors.port import StoreContext

# Ids of tiles and scenes are never used twice, and the older archive may grow while the newer one is made.
_TILES_APART, _SCENES_APART = 10**9, 10**6
# A copy that meets a compaction begins again; more than a few in a row is no accident.
_ATTEMPTS = 5
KEYS_FILE = "keys.json"
"""Name of the file in an archive's folder that has the keys of a server's clients, hashed."""
_OWNER_ONLY = 0o600


def upgrade(where: Where, engines: Engines = ENGINES) -> str:
    """Migrate an archive to this version's schema, move what lies beside the catalog into it, and return the version.

    Raises:
        ArchiveError: There is no archive, or it comes from a newer version.
        ArchiveLockedError: Another process is writing to it.
    """
    location = locate(where)
    database = engines.catalog_of(location)
    lock = WriterLock(location.folder, database) if database.exists() else None
    try:
        version = database.upgrade()
        import_search_files(location.folder, database)
        return version
    finally:
        if lock is not None:
            lock.release()
        database.close()


def repair(where: Where, engines: Engines = ENGINES) -> list[str]:
    """Make a damaged archive whole again and return what was done, one sentence each.

    Derived data is built again. Damaged vector files are copied to `quarantine/`. Scenes whose rows or vectors are lost
    are removed and named, so that indexing them again restores them.

    Raises:
        ArchiveError: The catalog itself cannot be read.
        ArchiveLockedError: Another process is writing to it.
    """
    location = locate(where)
    database = engines.catalog_of(location)
    lock = WriterLock(location.folder, database) if database.exists() else None
    try:
        model = database.open()
        files = engines.files_of(location)
        with database.writing() as catalog:
            if files is not None:
                check_own(files, catalog.archive_id())
            context = StoreContext(
                dim=model.dim,
                columns_of=lambda ids: tile_columns(catalog, ids),
                footprints=FootprintCache(database).tiles,
                folder=location.folder,
                files=files,
            )
            store = engines.store_of(location)(location.vectors, context)
            done = Repair(catalog, store)
            done.run()
        done.report += store.repair_derived()
    finally:
        if lock is not None:
            lock.release()
        database.close()
    # Opening builds derived data again and deletes files that nothing names any more.
    ArchiveWriter.open(location, engines).close()
    return done.report


def verify(archive: Archive, *, full: bool = False) -> list[str]:
    """Return what is wrong with an archive, one sentence each; nothing is wrong when the list is empty.

    Args:
        archive: Open, for reading or writing.
        full: Also read every row of the catalog and every vector, and compare checksums.
    """
    return archive.read(lambda view: problems_of(view.catalog, view.store, full=full))


def back_up(archive: Archive, target: Path, previous: Path | None = None) -> int:
    """Copy one generation to another folder, whole, while searches and writes continue; return which.

    Args:
        archive: Open.
        target: An empty folder, or none yet.
        previous: An earlier backup; its vector files are compared with their checksums and linked.

    Raises:
        ArchiveError: The target is not empty or cannot be written, or a file of the archive is damaged.
    """
    try:
        make_folder(target)
        if any(target.iterdir()):
            raise ArchiveError(f"{target}: not empty; choose a new folder for each backup")
        for _ in range(_ATTEMPTS):
            copy = archive.database.copy_to(target)
            if previous is not None:
                _share(previous, target, [segment.name for segment in copy.segments])
            if archive.store.copy_to(target, copy.segments):
                break
        else:
            raise ArchiveError(f"{target}: files were deleted while they were copied; run the backup again")
        copy_keys(archive.path, target)
        # The catalog gets its name last.
        copy.publish()
    except OSError as error:
        raise cannot_write(Path(os.fsdecode(error.filename or target)), error) from error
    return copy.generation


def copy_keys(source: Path, target: Path) -> None:
    """Copy the keys of a server's clients from one folder to another, where there are any.

    Raises:
        OSError: They cannot be read or written.
    """
    if (source / KEYS_FILE).is_file():
        copy_file(source / KEYS_FILE, target / KEYS_FILE)
        (target / KEYS_FILE).chmod(_OWNER_ONLY)
        flush(target)


def _share(previous: Path, target: Path, names: Sequence[str]) -> None:
    """Link vector files of an earlier backup; where that is not possible, they are copied from the archive."""
    make_folder(target / "vectors")
    for name in names:
        for file in (previous / "vectors").glob(f"{name}.*"):
            with suppress(OSError):
                os.link(file, target / "vectors" / file.name)


def migrate_archive(
    source: Where,
    target: Where,
    engines: Engines = ENGINES,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> dict[str, int]:
    """Copy an archive to other engines, with the same ids, and return its numbers of rows; a stopped copy is resumed.

    Rows are compared one by one, vectors by their checksums, before the copy becomes an archive. Searches of the source
    continue; writes are not allowed. The search index is not copied to another engine: `optimize` builds it there.

    Args:
        source: An archive.
        target: Where it shall be: a folder, or a file that names engines.
        engines: The engines that may open its parts.
        progress: Is told the table and the number of rows of each part.

    Raises:
        ArchiveError: There is an archive at the target, or a copy differs.
        ArchiveLockedError: Another process is writing to one of the two.
    """
    place = locate(target)
    database = engines.catalog_of(place)
    engines.store_of(place)
    with ArchiveWriter.open(source, engines) as archive:
        if place.folder.resolve() == archive.path.resolve():
            raise ArchiveError(f"{place}: the same folder as the source's; name another one")
        make_folder(place.folder)
        files = engines.files_of(place)
        lock = WriterLock(place.folder)
        try:
            with archive.database.reading() as catalog:
                segments, archive_id = catalog.segments(), catalog.archive_id()
            if files is not None:
                if archive.files is not None and str(archive.files) == str(files):
                    raise ArchiveError(f"files {files}: the same place as the source's; name another prefix")
                claim(files, archive_id)

            def copy_vectors() -> None:
                if not archive.store.copy_to(place.folder, segments, files):
                    raise ArchiveError(f"{archive.path}: a vector file is missing; run: bandsight verify")

            database.take_over(archive.database, copy_vectors, progress)
        finally:
            database.close()
            lock.release()
    with Archive.open(place, engines) as copied:
        stats = copied.stats()
    return {name: int(stats[name]) for name in ("scenes", "tiles", "vectors")}


def create_beside(archive: Archive, where: Where, model: ModelIdentity, engines: Engines = ENGINES) -> ArchiveWriter:
    """Create an empty archive that can replace another one later (`swap_in`) and open it for writing."""
    with archive.database.reading() as catalog:
        first_tile, first_scene = catalog.next_tile_id() + _TILES_APART, catalog.newest_scene_id() + _SCENES_APART
    return ArchiveWriter.create(where, model, engines, first_tile=first_tile, first_scene=first_scene)


def swap_in(archive: ArchiveWriter, beside: ArchiveWriter) -> int:
    """Replace all that an archive holds, and its model, by another archive's, in one commit; return the generation.

    Searches continue until then. A reader that has the archive open gets a `ModelChangedError` and opens it again. Jobs
    and saved searches stay. A crash before the commit leaves the archive unchanged, with files that no commit names.

    Raises:
        ArchiveError: The other archive was not made by `create_beside`, or the disk is full.
    """
    # An index that is being extended would take the place of the other archive's.
    archive.finish_index()
    beside.finish_index()
    with beside.database.reading() as catalog:
        segments = catalog.segments()
    archive.store.adopt(beside.store, segments)
    generation = archive.database.swap_in(beside.database)
    archive.reopen()
    return generation
