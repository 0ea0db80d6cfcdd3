"""Ownership of a prefix on object storage, recorded in one small object, so that archives cannot share a prefix.

It contains the id of the archive, which is also in the catalog. For a new archive, it is written before the catalog.
"""

import json

from bandsight.errors import ArchiveError
from bandsight.objects.cached import MARKER, CachedObjects
from bandsight.objects.store import ObjectMissingError

_WRITER = "writer.json"


def claim(files: CachedObjects, archive_id: str) -> None:
    """Claim a prefix for an archive; claiming it again is safe.

    Raises:
        ArchiveError: It belongs to another archive, or the storage rejects the request.
        EngineUnavailableError: The storage does not respond.
    """
    if not files.objects.put(MARKER, json.dumps({"archive": archive_id}).encode(), new=True):
        raise _taken(files, _owner(files))


def check_free(files: CachedObjects) -> None:
    """Check that a prefix is free and writable; raises the errors of `claim`."""
    check_writable(files)
    owner = _owner(files)
    if owner is not None:
        raise _taken(files, owner)


def check_own(files: CachedObjects, archive_id: str) -> None:
    """Check that a prefix belongs to this archive.

    Raises:
        ArchiveError: It belongs to another archive or to none, or the storage rejects the request.
        EngineUnavailableError: The storage does not respond.
    """
    owner = _owner(files)
    if owner is None:
        raise ArchiveError(
            f"files {files}: no archive's files are here ({MARKER} is missing); name the bucket and the prefix of this "
            "archive"
        )
    if owner != archive_id:
        raise ArchiveError(
            f"files {files}: these are the files of another archive ({owner}, the catalog's is {archive_id}); name the "
            "prefix of this archive, or the catalog of that one"
        )


def check_writable(files: CachedObjects) -> None:
    """Check that a prefix is writable; raises the errors of `claim`."""
    files.objects.put(_WRITER, b"{}")


def _owner(files: CachedObjects) -> str | None:
    try:
        return str(json.loads(files.objects.get(MARKER))["archive"])
    except ObjectMissingError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ArchiveError(
            f"files {files}: {MARKER} cannot be read ({error}); restore it, or name another prefix"
        ) from error


def _taken(files: CachedObjects, owner: str | None) -> ArchiveError:
    return ArchiveError(
        f"files {files}: there is an archive under this prefix already ({owner}); name another prefix, or delete it if "
        "its catalog is gone"
    )
