"""Ranks tiles by their best cell: what is much smaller than a tile shows in a cell, and is lost in the whole."""

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
"""Tiles whose cells are compared: the best of them as a whole. With `exact`, all that pass the filter are."""
REASON = "ranked by a part of each tile, for which no probability was calibrated"
_ALL = 2**40

CellsOf = Callable[[Sequence[int]], list[tuple[NDArray[np.intp], CellCodes]]]
"""Returns the cells of tiles by id; see `VectorStore.cells`."""


@dataclass(frozen=True, slots=True)
class BestCells:
    """The best cell of each of some tiles."""

    scores: NDArray[np.float32]
    """Shape (n,); NaN for tiles without cells."""
    numbers: NDArray[np.int64]
    """Which cell it is, row by row from the upper left, shape (n,)."""
    sides: NDArray[np.int64]
    """Cells along a side of the tile, shape (n,); 0 for tiles without cells."""


def best_cells(scorer: Scorer, cells_of: CellsOf, ids: Sequence[int]) -> BestCells:
    """Return the best cell of each tile.

    Args:
        scorer: Scores a cell as it scores a tile.
        cells_of: Reads the cells of tiles.
        ids: The tiles.
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
    """Scores a tile by its best cell, by another scorer; a tile without cells counts as one."""

    whole: Scorer
    """Scores tiles and cells."""
    cells_of: CellsOf
    """Reads the cells of tiles."""

    @property
    def directions(self) -> NDArray[np.float32]:
        """Those of the other scorer; see `Scorer`."""
        return self.whole.directions

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of tiles or cells by their cosines; see `Scorer`."""
        return self.whole.combine(cosines)

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the best of the `POOL` tiles that are best as a whole; see `Scorer`.

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
        """Return hits with their best cell."""
        cells = best_cells(self.whole, self.cells_of, [hit.tile.id for hit in hits])
        places = zip(hits, cells.numbers.tolist(), cells.sides.tolist(), strict=True)
        return [
            replace(hit, cell=BestCell(row=number // side, column=number % side, side=side)) if side else hit
            for hit, number, side in places
        ]
