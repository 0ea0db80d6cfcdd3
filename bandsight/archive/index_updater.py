"""Extends the search index during an indexing job, so that new tiles need not be scanned for long."""

import logging
import threading

from bandsight.catalog.port import Leases
from bandsight.errors import ArchiveError, BusyError
from bandsight.vectors.port import VectorStore

# Due when this many tiles, and this fraction of all, are missing from the index: scanning them then costs a query about
# as much as the index itself.
_MANY, _SHARE = 20_000, 0.02
_INDEX = "index"
_log = logging.getLogger(__name__)


class IndexUpdater:
    """Adds new tiles to a store's index in at most one thread while commits and searches continue."""

    def __init__(self, store: VectorStore, leases: Leases | None = None) -> None:
        """Prepare.

        Args:
            store: What has the index.
            leases: Where other processes write too: only one of them extends the index at a time.
        """
        self._store, self._leases = store, leases
        self._thread: threading.Thread | None = None
        self._saved = False
        self._looked_at = 0

    def worth_a_look(self, newest: int) -> bool:
        """Return whether enough tiles are new, up to this id, that an extension may be due.

        Showing a commit costs more the larger the archive is, so not every commit is shown.
        """
        if newest - self._looked_at < _MANY:
            return False
        self._looked_at = newest
        return True

    def start_if_due(self) -> None:
        """Start extending, unless that is already running or there is too little to add."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._store.unindexed >= max(_MANY, _SHARE * int(self._store.stats()["vectors"])):
            self._thread = threading.Thread(target=self._extend, name="bandsight-index", daemon=True)
            self._thread.start()

    def finish(self) -> bool:
        """Wait for a running extension; return whether an index was saved that readers have not seen yet."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        saved, self._saved = self._saved, False
        return saved

    def _extend(self) -> None:
        try:
            if self._leases is None or self._leases.take(_INDEX):
                self._saved |= self._store.extend()
        except (ArchiveError, BusyError) as error:
            _log.warning("the search index was not extended, new tiles are scanned instead: %s", error)
        finally:
            if self._leases is not None:
                self._leases.close()
