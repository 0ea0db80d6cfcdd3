"""The archive: catalog and vectors, opened, written and read as one thing."""

from bandsight.archive.archive import Archive
from bandsight.archive.lifecycle import CATALOG_FILE
from bandsight.archive.view import CommitIntervenedError, View

__all__ = ["CATALOG_FILE", "Archive", "CommitIntervenedError", "View"]
