"""Scorers of tiles: by the mean of examples, the best example, or a linear classifier.

To add one, implement `Scorer`; ranking, paging, heat maps and highlights use nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import QueryError
from bandsight.vectors.port import Choice
from bandsight.vectors.scores import Ranked, best, raw_scores

VectorsOf = Callable[[Sequence[int]], NDArray[np.float32]]
"""Reads the vectors of tiles by id, shape (n, dim)."""

_ALL = 2**40
# Factor by which each retry widens the search if negatives demoted hits.
_GROWTH = 4
# Float32 rounding error of unit vectors.
_ZERO = 1e-6


class Scorer(Protocol):
    """Assigns each tile a score; higher is better."""

    @property
    def directions(self) -> NDArray[np.float32]:
        """Vectors whose cosines with a tile determine its score, shape (d, dim)."""

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of tiles, shape (n,), from their cosines with the directions, shape (d, n)."""

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the min(k, count) best tiles of a choice with their scores.

        Args:
            among: The tiles that pass the filter.
            vectors_of: Reads raw vectors.
            k: Maximum number of tiles, at least 1.
            exact: Compare with every tile, without the index.
        """


def scores_of(scorer: Scorer, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of raw vectors, shape (n, dim), as shape (n,)."""
    return scorer.combine(np.stack([raw_scores(rows, direction) for direction in scorer.directions]))


def unit_rows(rows: NDArray[np.float32] | None, name: str) -> NDArray[np.float32]:
    """Return example vectors as finite float32 of shape (n, dim), or (0, 0) for None.

    Raises:
        QueryError: Their shape is wrong or they are not finite.
    """
    made = np.empty((0, 0), np.float32) if rows is None else np.asarray(rows, np.float32)
    if made.ndim != 2 or not np.isfinite(made).all():  # noqa: PLR2004
        raise QueryError(f"query: {name} of shape {made.shape}; need finite numbers of shape (n, dim)")
    return made


@dataclass(frozen=True, slots=True, eq=False)
class MeanScorer:
    """The cosine with one vector: the mean of the positives or, with negatives, 2·mean(positives) - mean(negatives).

    Equivalent to Qdrant's strategy `average_vector` (qdrant/qdrant,
    lib/segment/src/vector_storage/query/reco_query.rs).
    """

    positives: NDArray[np.float32]
    """Unit vectors, shape (p, dim), at least one."""
    negatives: NDArray[np.float32] | None = None
    """Unit vectors, shape (n, dim)."""
    weights: Sequence[float] | None = None
    """Weights of the positives, greater than 0; None for equal weights."""
    directions: NDArray[np.float32] = field(init=False)
    """The query vector, shape (1, dim)."""

    def __post_init__(self) -> None:
        positives, negatives = unit_rows(self.positives, "positives"), unit_rows(self.negatives, "negatives")
        if not len(positives):
            raise QueryError("query: no positive example; pass one (only the strategy `best` allows negatives alone)")
        if self.weights is not None and len(self.weights) != len(positives):
            raise QueryError(
                f"query: {len(self.weights)} weights for {len(positives)} positive examples; need one for each"
            )
        if not all(np.isfinite(weight) and weight > 0 for weight in self.weights or ()):
            raise QueryError(
                f"query: weights {self.weights}; need numbers above 0 (to avoid an example, pass it as negative)"
            )
        mean = np.average(positives.astype(np.float64), axis=0, weights=self.weights)
        aim = 2 * mean - negatives.astype(np.float64).mean(axis=0) if len(negatives) else mean
        norm = float(np.linalg.norm(aim))
        if norm < _ZERO:
            raise QueryError("query: the examples cancel out; remove some of them")
        object.__setattr__(self, "directions", (aim / norm).astype(np.float32)[None])

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosines unchanged; see `Scorer`."""
        return np.asarray(cosines[0], np.float32)

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the nearest tiles; see `Scorer`."""
        return among.search(self.directions, k, exact=exact)[0]


@dataclass(frozen=True, slots=True, eq=False)
class BestScorer:
    """The highest cosine with any positive.

    With negatives, a tile nearer to a negative than to any positive ranks below all others, and scores are mapped to
    0..1, or -1..0 for these, as in Qdrant's strategy `best_score` (source: see `MeanScorer`).
    """

    positives: NDArray[np.float32] | None = None
    """Unit vectors, shape (p, dim)."""
    negatives: NDArray[np.float32] | None = None
    """Unit vectors, shape (n, dim)."""
    directions: NDArray[np.float32] = field(init=False)
    """All examples, positives first, shape (p + n, dim)."""
    count: int = field(init=False)
    """Number of positives among the directions."""

    def __post_init__(self) -> None:
        positives, negatives = unit_rows(self.positives, "positives"), unit_rows(self.negatives, "negatives")
        if not len(positives) + len(negatives):
            raise QueryError("query: no example; pass at least one")
        parts = [part for part in (positives, negatives) if len(part)]
        object.__setattr__(self, "directions", np.concatenate(parts))
        object.__setattr__(self, "count", len(positives))

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the highest cosine, mapped to 0..1 if there are negatives; see `Scorer`."""
        near: NDArray[np.float32] = cosines[: self.count].max(axis=0, initial=-np.inf).astype(np.float32)
        if self.count == len(self.directions):
            return near
        far = cosines[self.count :].max(axis=0).astype(np.float32)
        return np.asarray(np.where(near > far, squeezed(near), -squeezed(far)), np.float32)

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the best tiles; see `Scorer`.

        The best tiles overall are among the best of each direction. Negatives demote some, so the search widens until
        no unseen tile can beat the k-th.
        """
        positives, has_negatives = self.directions[: self.count], self.count < len(self.directions)
        if not self.count:
            return self._rescored(among.search(self.directions[:1], _ALL, exact=True), vectors_of, k)
        fetch = _GROWTH * k if has_negatives else k
        while True:
            parts = among.search(positives, fetch, exact=exact)
            answer = self._rescored(parts, vectors_of, k)
            if not has_negatives or any(len(ids) < fetch for ids, _ in parts):
                return answer
            unseen = squeezed(np.array([max(scores[-1] for _, scores in parts)], np.float32))[0]
            if len(answer[1]) == k and answer[1][-1] > unseen:
                return answer
            fetch *= _GROWTH

    def _rescored(self, parts: Sequence[Ranked], vectors_of: VectorsOf, k: int) -> Ranked:
        ids = np.unique(np.concatenate([ids for ids, _ in parts]))
        return best(ids, scores_of(self, vectors_of(ids.tolist())), k)


@dataclass(frozen=True, slots=True, eq=False)
class LinearScorer:
    """The probability of a logistic regression on the vectors: sigmoid(weights · vector + bias)."""

    weights: NDArray[np.float32]
    """Weights, shape (dim,)."""
    bias: float
    """Bias, added before the sigmoid."""
    directions: NDArray[np.float32] = field(init=False)
    """The weights as a unit vector, shape (1, dim)."""
    length: float = field(init=False)
    """Norm of the weights."""

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, np.float64)
        length = float(np.linalg.norm(weights))
        if weights.ndim != 1 or not np.isfinite(weights).all() or not np.isfinite(self.bias) or length < _ZERO:
            raise QueryError(
                f"classifier: weights of shape {weights.shape} and length {length:g}, bias {self.bias}; need finite "
                "numbers of shape (dim,), not all 0"
            )
        object.__setattr__(self, "directions", (weights / length).astype(np.float32)[None])
        object.__setattr__(self, "length", length)

    def combine(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities; see `Scorer`."""
        logits = np.clip(self.length * cosines[0].astype(np.float64) + self.bias, -80, 80)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def rank(self, among: Choice, vectors_of: VectorsOf, k: int, *, exact: bool) -> Ranked:
        """Return the most probable tiles, which have the highest cosines; see `Scorer`."""
        ids, cosines = among.search(self.directions, k, exact=exact)[0]
        return best(ids, self.combine(cosines[None]), k)


def squeezed(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map scores monotonically to 0..1 (Qdrant's `scaled_fast_sigmoid`)."""
    bounded = np.where(np.isfinite(scores), scores, -1e30)
    return np.asarray(0.5 * (bounded / (1 + np.abs(bounded)) + 1), np.float32)
