"""Draws the queries that recall is measured with, and finds their true neighbours by brute force."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.ivf_build import Rows, chunks

_IMAGES = 200
# A filter lets neighbours pass together, as scenes and regions do.
_RUN = 256


@dataclass(frozen=True, slots=True)
class Probe:
    """Queries of one kind."""

    kind: str
    rows: slice
    """Where they stand among all queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What an index is measured with."""

    queries: NDArray[np.float32]
    """Unit vectors, shape (q, dim)."""
    own: NDArray[np.int64]
    """Id of each query's own row, which is held out; -1 where it has none; shape (q,)."""
    probes: tuple[Probe, ...]
    """The kinds of queries."""
    shares: tuple[float, ...]
    """Of the rows, that filters let pass; the first is 1."""
    allowed: tuple[NDArray[np.bool_] | None, ...]
    """For each share, which tiles pass, by id from `first_id` on, shape (span,); None for all."""
    first_id: int
    """Of the tiles that masks speak of."""
    counts: tuple[int, ...]
    """For each share, how many rows pass."""


def draw(
    parts: Sequence[Rows], texts: NDArray[np.float32] | None, shares: Sequence[float], first_id: int, span: int
) -> Sample:
    """Return vectors of the archive, and of sentences, as queries, and filters of some shares, over a span of ids."""
    rng = np.random.default_rng(0)
    ids = np.concatenate([ids[alive] for ids, _, alive in parts])
    own = np.sort(rng.choice(ids, min(_IMAGES, len(ids)), replace=False))
    queries = [np.concatenate([rows[np.isin(ids, own)] for ids, rows, _ in parts]).astype(np.float32)]
    probes = [Probe("image", slice(0, len(own)))]
    owners = [own]
    if texts is not None and len(texts):
        queries.append(np.asarray(texts, np.float32))
        probes.append(Probe("text", slice(len(own), len(own) + len(texts))))
        owners.append(np.full(len(texts), -1, np.int64))
    allowed = [None if share == 1 else _some(ids - first_id, span, share, rng) for share in shares]
    return Sample(
        queries=np.ascontiguousarray(np.concatenate(queries)),
        own=np.concatenate(owners),
        probes=tuple(probes),
        shares=tuple(shares),
        allowed=tuple(allowed),
        first_id=first_id,
        counts=tuple(len(ids) if among is None else int(np.count_nonzero(among)) for among in allowed),
    )


def true_neighbours(parts: Sequence[Rows], sample: Sample, k: int) -> list[NDArray[np.int64]]:
    """Return the nearest ids of each query for each share, padded with -1, shape (q, k); rows are read once."""
    best = [_Best(len(sample.queries), k) for _ in sample.shares]
    for ids, values in chunks(parts):
        scores = sample.queries @ values.T
        at = np.searchsorted(ids, sample.own)
        held = (at < len(ids)) & (ids[np.minimum(at, len(ids) - 1)] == sample.own)
        scores[np.flatnonzero(held), at[held]] = -np.inf
        for among, kept in zip(sample.allowed, best, strict=True):
            inside = slice(None) if among is None else np.flatnonzero(among[ids - sample.first_id])
            kept.take(ids[inside], scores[:, inside])
    return [kept.ranked() for kept in best]


class _Best:
    """The k best of each query so far; only what beats the worst of them is looked at."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._scores = np.full((queries, k), -np.inf, np.float32)
        self._ids = np.full((queries, k), -1, np.int64)

    def take(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        floor = self._scores.min(axis=1)
        for row in np.flatnonzero((scores > floor[:, None]).any(axis=1)):
            better = np.flatnonzero(scores[row] > floor[row])
            both = np.concatenate([self._scores[row], scores[row, better]])
            named = np.concatenate([self._ids[row], ids[better]])
            top = np.argpartition(-both, self._k - 1)[: self._k]
            self._scores[row], self._ids[row] = both[top], named[top]

    def ranked(self) -> NDArray[np.int64]:
        order = np.argsort(-self._scores, axis=1, kind="stable")
        return np.take_along_axis(self._ids, order, 1)


def _some(places: NDArray[np.int64], span: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return about a share of places, in runs of neighbours, shape (span,): rows that are gone have places too."""
    runs = rng.random(-(-len(places) // _RUN)) < share
    runs[rng.integers(len(runs))] = True
    allowed = np.zeros(span, bool)
    allowed[places[np.repeat(runs, _RUN)[: len(places)]]] = True
    return allowed
