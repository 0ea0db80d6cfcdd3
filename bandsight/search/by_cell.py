"""Ranks tiles by their best cell, to find things much smaller than a tile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import BestCell, Hit
from bandsight.errors import QueryError
from bandsight.search.scorers import Scorer, VectorsOf
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.port import Choice
from bandsight.vectors.scores import Ranked, best

POOL = 2000
"""Number of tiles whose cells are compared: the best as a whole. With `exact`, all tiles that pass the filter are."""
REASON = "ranked by a part of each tile, for which probabilities are not calibrated"
_ALL = 2**40

CellsOf = Callable[[Sequence[int]], list[tuple[NDArray[np.intp], CellCodes]]]
"""Reads the cells of tiles by id; see `VectorStore.cells`."""


@dataclass(frozen=True, slots=True)
class BestCells:
    """The best cell of each tile."""

    scores: NDArray[np.float32]
    """Scores, shape (n,); NaN for tiles without cells."""
    numbers: NDArray[np.int64]
    """Index of the cell, row by row from the upper left, shape (n,)."""
    sides: NDArray[np.int64]
    """Number of cells along a side of the tile, shape (n,); 0 for tiles without cells."""


def best_cells(scorer: Scorer, cells_of: CellsOf, ids: Sequence[int]) -> BestCells:
    """Return the best cell of each tile.

    Args:
        scorer: Scores cells like tiles.
        cells_of: Reads the cells of tiles.
        ids: Ids of the tiles.
    """
    found = BestCells(np.full(len(ids), np.nan, np.float32), np.zeros(len(ids), int), np.zeros(len(ids), int))
    for at, codes in cells_of(ids):
        cosines = codes.cosines(scorer.directions)
        scores = scorer.combine(cosines.reshape(len(cosines), -1)).reshape(len(codes), -1)
        scores = np.where(codes.known, scores, -np.inf)
        known = codes.known.any(axis=1)
        chosen = scores.argmax(axis=1)
        found.numbers[at[known]] = chosen[known]
        found.scores[at[known]] = scores[np.arange(len(codes)), chosen][known]
        found.sides[at[known]] = codes.side
    return found


@dataclass(frozen=True, slots=True, eq=False)
class CellScorer:
    """Applies another scorer to the best cell of each tile; a tile without cells counts as one cell."""

    whole: Scorer
    """Scores tiles and cells."""
    cells_of: CellsOf
    """Reads the cells of tiles."""

    @property
    def directions(self) -> NDArray[np.float32]:
        """Directions of the other scorer; see `Scorer`."""
        return self.whole.directions

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of tiles or cells from their cosines; see `Scorer`."""
        return self.whole.combine(cosines)

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the best of the `POOL` tiles that rank highest as a whole; see `Scorer`.

        Raises:
            QueryError: None of them has cells.
        """
        ids, scores = self.whole.rank(among, vectors_of, _ALL if exact else POOL, exact=exact)
        cells = best_cells(self.whole, self.cells_of, ids.tolist())
        if len(ids) and not cells.sides.any():
            raise QueryError(
                "by_cell: none of these tiles has cells; index their scenes with --cells 4, or search without by_cell"
            )
        return best(ids, np.where(cells.sides > 0, cells.scores, scores).astype(np.float32), k)

    def located(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return hits with their best cells."""
        cells = best_cells(self.whole, self.cells_of, [hit.tile.id for hit in hits])
        places = zip(hits, cells.numbers.tolist(), cells.sides.tolist(), strict=True)
        return [
            replace(hit, cell=BestCell(row=number // side, column=number % side, side=side)) if side else hit
            for hit, number, side in places
        ]
