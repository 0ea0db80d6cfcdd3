"""Operations on a whole archive: upgrade, repair, verify, back up, migrate and replace."""

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

# Ids of tiles and scenes are never reused, and the old archive may grow while the new one is built.
_TILES_APART, _SCENES_APART = 10**9, 10**6
# A copy starts over after a concurrent compaction; more than a few in a row point to another problem.
_ATTEMPTS = 5
KEYS_FILE = "keys.json"
"""Name of the file in the archive's folder with the hashed API keys."""
_OWNER_ONLY = 0o600


def upgrade(where: Where, engines: Engines = ENGINES) -> str:
    """Migrate an archive to this version's schema, import files kept outside the catalog, and return the version.

    Raises:
        ArchiveError: There is no archive, or a newer version of Bandsight wrote it.
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
    """Repair a damaged archive and return what was done, one sentence each.

    Derived data is rebuilt. Damaged vector files are copied to `quarantine/`. Scenes whose rows or vectors are lost are
    removed and listed; indexing them again restores them.

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
                archive_id=catalog.archive_id(),
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
    """Return an archive's problems, one sentence each; the list is empty if there are none.

    Args:
        archive: An archive open for reading or writing.
        full: Also read every row of the catalog and every vector, and compare checksums.
    """
    return archive.read(lambda view: problems_of(view.catalog, view.store, full=full))


def back_up(archive: Archive, target: Path, previous: Path | None = None) -> int:
    """Copy one generation of an archive to another folder while searches and writes continue; return the generation.

    Args:
        archive: An open archive.
        target: An empty or new folder.
        previous: An earlier backup; its vector files are verified by checksum and hard-linked.

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
        # The catalog is renamed into place last.
        copy.publish()
    except OSError as error:
        raise cannot_write(Path(os.fsdecode(error.filename or target)), error) from error
    return copy.generation


def copy_keys(source: Path, target: Path) -> None:
    """Copy the API keys, if any, from one folder to another.

    Raises:
        OSError: The file cannot be read or written.
    """
    if (source / KEYS_FILE).is_file():
        copy_file(source / KEYS_FILE, target / KEYS_FILE)
        (target / KEYS_FILE).chmod(_OWNER_ONLY)
        flush(target)


def _share(previous: Path, target: Path, names: Sequence[str]) -> None:
    """Hard-link vector files of an earlier backup; files that cannot be linked are later copied from the archive."""
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
    """Copy an archive to other engines, keeping its ids, and return the row counts; an interrupted copy is resumed.

    Before the copy becomes an archive, rows are compared one by one and vectors by checksum. The source can be searched
    but not written to meanwhile. The search index is not copied to another engine; `optimize` builds it there.

    Args:
        source: An archive.
        target: Location of the copy: a folder, or a file that names engines.
        engines: The engines that may open its parts.
        progress: Called with the table and the number of rows copied, for each chunk.

    Raises:
        ArchiveError: The target already has an archive, or the copy differs.
        ArchiveLockedError: Another process is writing to one of the two.
    """
    place = locate(target)
    database = engines.catalog_of(place)
    engines.store_of(place)
    with ArchiveWriter.open(source, engines) as archive:
        if place.folder.resolve() == archive.path.resolve():
            raise ArchiveError(f"{place}: is the source's folder; choose another one")
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
        archive_id = catalog.archive_id()
    return ArchiveWriter.create(
        where, model, engines, first_tile=first_tile, first_scene=first_scene, archive_id=archive_id
    )


def swap_in(archive: ArchiveWriter, beside: ArchiveWriter) -> int:
    """Replace an archive's content and model with another archive's in one commit; return the generation.

    Searches continue until then. Readers that have the archive open get a `ModelChangedError` and must reopen it. Jobs
    and saved searches stay. A crash before the commit leaves the archive unchanged, apart from unreferenced files.

    Raises:
        ArchiveError: The other archive was not made by `create_beside`, or the disk is full.
    """
    # An index still being extended would overwrite the other archive's.
    archive.finish_index()
    beside.finish_index()
    with beside.database.reading() as catalog:
        segments = catalog.segments()
    archive.store.adopt(beside.store, segments)
    generation = archive.database.swap_in(beside.database)
    archive.reopen()
    return generation
