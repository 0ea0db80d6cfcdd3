"""An archive: catalog and vectors opened, read and written as one."""

from bandsight.archive.open import ENGINES, Engines, Location, archive_exists, check_archive, locate
from bandsight.archive.reader import Archive
from bandsight.archive.view import CommitIntervenedError, View
from bandsight.archive.writer import ArchiveWriter

__all__ = [
    "ENGINES",
    "Archive",
    "ArchiveWriter",
    "CommitIntervenedError",
    "Engines",
    "Location",
    "View",
    "archive_exists",
    "check_archive",
    "locate",
]
