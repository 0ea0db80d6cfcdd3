"""The archive: catalog and vectors in one folder, opened, written and searched as one thing."""

from bandsight.archive.archive import Archive
from bandsight.archive.arrangement import Arrangement
from bandsight.archive.browsing import Key, Listing, Mark
from bandsight.archive.cursor import Cursor
from bandsight.archive.finding import Page
from bandsight.archive.opening import CATALOG_FILE
from bandsight.archive.query import Query

__all__ = ["CATALOG_FILE", "Archive", "Arrangement", "Cursor", "Key", "Listing", "Mark", "Page", "Query"]
