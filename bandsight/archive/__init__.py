"""The archive: catalog and vectors in one folder, opened, written and searched as one thing."""

from bandsight.archive.archive import CATALOG_FILE, Archive

__all__ = ["CATALOG_FILE", "Archive"]
