"""Cache of the footprints of recent results: a search and its count need the same ones."""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive.view import CommitIntervenedError
from bandsight.catalog.port import Catalog, CatalogDatabase

# Maximum number of cached results, and of footprints (1 kB each) per result.
_ANSWERS, _FOOTPRINTS = 32, 2000


class FootprintCache:
    """Reads footprints as shapely geometries; they never change. Thread-safe."""

    def __init__(self, database: CatalogDatabase) -> None:
        self._database = database
        self._kept: dict[tuple[str, bytes], NDArray[np.object_]] = {}

    def tiles(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the footprints of tiles, in the order of the ids.

        Raises:
            CommitIntervenedError: One of them was removed.
        """
        return self._of("tiles", ids, lambda catalog: catalog.footprints(ids.tolist()))

    def scenes(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the footprints of scenes, in the order of the ids.

        Raises:
            CommitIntervenedError: One of them was removed.
        """
        return self._of("scenes", ids, lambda catalog: catalog.scene_footprints(ids.tolist()))

    def _of(self, kind: str, ids: NDArray[np.int64], read: Callable[[Catalog], dict[int, str]]) -> NDArray[np.object_]:
        key = (kind, ids.tobytes())
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        with self._database.reading() as catalog:
            found = read(catalog)
        if len(found) < len(ids):
            raise CommitIntervenedError
        made = np.asarray(shapely.from_geojson([found[row_id] for row_id in ids.tolist()]), object)
        if len(ids) <= _FOOTPRINTS:
            known = self._kept
            self._kept = {**(known if len(known) < _ANSWERS else {}), key: made}
        return made
