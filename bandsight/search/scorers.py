"""What several vectors ask for together: their average, or the best of them, away from others."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import QueryError
from bandsight.vectors.scores import raw_scores

Strategy = Literal["average", "best"]


def _none() -> NDArray[np.float32]:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """Examples of what is wanted and of what is not.

    `average` looks for one vector: the mean of the positives (weighted, if weights are given), or, with negatives,
    mean(positives) + mean(positives) - mean(negatives). `best` compares each tile with every example: its score is its
    best cosine with a positive. With negatives, a tile nearer to one of them than to any positive is ranked below all
    others, and scores are squeezed into 0..1, or -1..0 below. Both follow Qdrant's recommendation strategies
    (qdrant/qdrant, lib/segment/src/vector_storage/query/reco_query.rs).
    """

    positives: NDArray[np.float32] = field(default_factory=_none)
    """Unit vectors, shape (p, dim)."""
    negatives: NDArray[np.float32] = field(default_factory=_none)
    """Unit vectors, shape (n, dim)."""
    positive_tiles: tuple[int, ...] = ()
    """Tiles of the archive that are wanted examples; a search leaves them out of its answer."""
    negative_tiles: tuple[int, ...] = ()
    """Tiles of the archive that are unwanted examples; a search leaves them out of its answer."""
    weights: tuple[float, ...] | None = None
    """Of the positives, then the positive tiles, for `average`; equal when None."""
    strategy: Strategy = "average"
    """How the examples make one score."""

    def __post_init__(self) -> None:
        for name in ("positives", "negatives"):
            vectors = np.asarray(getattr(self, name), np.float32)
            if vectors.ndim != 2 or not np.isfinite(vectors).all():  # noqa: PLR2004
                raise QueryError(f"query: {name} of shape {vectors.shape}; need finite numbers of shape (n, dim)")
            object.__setattr__(self, name, vectors)
        if self.strategy not in {"average", "best"}:
            raise QueryError(f"query: strategy {self.strategy!r}; need average or best")
        wanted = len(self.positives) + len(self.positive_tiles)
        if not wanted and (self.strategy == "average" or not len(self.negatives) + len(self.negative_tiles)):
            raise QueryError("query: no positive example; pass one (only `best` also takes negatives alone)")
        if self.weights is None:
            return
        if self.strategy != "average":
            raise QueryError("query: weights go with the strategy average")
        if len(self.weights) != wanted:
            raise QueryError(f"query: {len(self.weights)} weights for {wanted} positive examples; need one for each")
        if not all(np.isfinite(weight) and weight > 0 for weight in self.weights):
            raise QueryError(f"query: weights {self.weights}; need numbers above 0 (what is unwanted is a negative)")

    @property
    def tiles(self) -> tuple[int, ...]:
        """Tiles of the archive that are examples."""
        return (*self.positive_tiles, *self.negative_tiles)


def average(
    positives: NDArray[np.float32], negatives: NDArray[np.float32], weights: tuple[float, ...] | None
) -> NDArray[np.float32]:
    """Return the one unit vector that `average` looks for, shape (dim,).

    Raises:
        QueryError: The examples cancel out.
    """
    mean = np.average(positives.astype(np.float64), axis=0, weights=weights)
    aim = mean if not len(negatives) else 2 * mean - negatives.astype(np.float64).mean(axis=0)
    norm = float(np.linalg.norm(aim))
    if norm < 1e-6:  # noqa: PLR2004  (float32 noise of unit vectors)
        raise QueryError("query: its examples cancel out to nothing; leave some of them out")
    return (aim / norm).astype(np.float32)


def best_scores(
    rows: NDArray[np.float32], positives: NDArray[np.float32], negatives: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the scores of rows under `best`, shape (n,)."""
    return pooled(_highest(rows, positives), _highest(rows, negatives) if len(negatives) else None)


def pooled(near: NDArray[np.float32], far: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return the scores under `best` of rows by their best cosine with a positive, and with a negative if there are."""
    return near if far is None else np.where(near > far, squeezed(near), -squeezed(far)).astype(np.float32)


def squeezed(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores brought to 0..1 in the same order (Qdrant's `scaled_fast_sigmoid`)."""
    bounded = np.where(np.isfinite(scores), scores, -1e30)
    return np.asarray(0.5 * (bounded / (1 + np.abs(bounded)) + 1), np.float32)


def _highest(rows: NDArray[np.float32], examples: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = np.full(len(rows), -np.inf, np.float32)
    for example in examples:
        highest = np.maximum(highest, raw_scores(rows, example))
    return highest
