"""The archive: catalog and vectors in one folder, opened, written and searched as one thing."""

from bandsight.archive.archive import Archive
from bandsight.archive.lifecycle import CATALOG_FILE
from bandsight.archive.listing import Key, Listing, Mark
from bandsight.search.cursor import Cursor
from bandsight.search.ranking import Page
from bandsight.search.result_selection import Arrangement
from bandsight.search.scorers import Query

__all__ = ["CATALOG_FILE", "Archive", "Arrangement", "Cursor", "Key", "Listing", "Mark", "Page", "Query"]
