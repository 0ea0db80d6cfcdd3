"""Whose files are under a prefix of object storage: one small object says it, so that no archive takes another's.

It holds the id of the archive, which its catalog has too. It is written before the catalog, where there is none.
"""

import json

from bandsight.errors import ArchiveError
from bandsight.objects.cached import MARKER, CachedObjects
from bandsight.objects.store import ObjectMissingError

_WRITER = "writer.json"


def claim(files: CachedObjects, archive_id: str) -> None:
    """Take a prefix for an archive; to take it again is safe.

    Raises:
        ArchiveError: It is another archive's, or the storage refuses.
        EngineUnavailableError: The storage does not respond.
    """
    if not files.objects.put(MARKER, json.dumps({"archive": archive_id}).encode(), new=True):
        raise _taken(files, _owner(files))


def check_free(files: CachedObjects) -> None:
    """Refuse a prefix that an archive has, or that cannot be written; see `claim`."""
    check_writable(files)
    owner = _owner(files)
    if owner is not None:
        raise _taken(files, owner)


def check_own(files: CachedObjects, archive_id: str) -> None:
    """Refuse a prefix that is not this archive's.

    Raises:
        ArchiveError: It is another one's, or nobody's, or the storage refuses.
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
    """Refuse a prefix that cannot be written; see `claim`."""
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
