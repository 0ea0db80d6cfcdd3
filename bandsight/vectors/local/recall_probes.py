"""Generates queries for measuring recall, and finds their true neighbours by brute force.

Real queries are not rows of the archive: images of other places and sensors, combinations of examples, sentences. They
are simulated from rows that were excluded from training, and from sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.ivf_build import Rows, chunks, held_out

EACH = 100
"""Maximum number of queries of each kind."""
# With fewer rows excluded from training, queries are drawn from all rows.
_FEWEST = 20
# A mixture is twice the mean of this many rows minus the mean of others, as in a search by examples.
_MIXED = 3
# Images of other places are shifted by this share of the difference of two rows; those of other sensors lose contrast.
_FURTHER, _CONTRAST = 0.5, 0.7
# Filters select runs of neighbouring rows, like scenes and regions.
_RUN = 256


@dataclass(frozen=True, slots=True)
class Probe:
    """Queries of one kind."""

    kind: str
    rows: slice
    """Their positions among all queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Queries and filters for measuring an index."""

    queries: NDArray[np.float32]
    """Unit vectors, shape (q, dim)."""
    own: NDArray[np.int64]
    """Id of each query's own row, which is excluded from its results, or -1, shape (q,)."""
    probes: tuple[Probe, ...]
    """The kinds of queries."""
    shares: tuple[float, ...]
    """Shares of the rows that pass the filters; the first is 1."""
    allowed: tuple[NDArray[np.bool_] | None, ...]
    """For each share, the tiles that pass by id, starting at `first_id`, shape (span,); None for all."""
    first_id: int
    """First id of the masks."""
    counts: tuple[int, ...]
    """For each share, the number of rows that pass."""


def draw(
    parts: Sequence[Rows], texts: NDArray[np.float32] | None, shares: Sequence[float], first_id: int, span: int
) -> Sample:
    """Return queries of each kind, and filters, over a span of ids.

    Args:
        parts: The archive's rows.
        texts: Vectors of sentences, shape (n, dim).
        shares: Shares of the rows that pass the filters; the first is 1.
        first_id: First id of the masks.
        span: Length of the masks.
    """
    rng = np.random.default_rng(0)
    ids = np.concatenate([ids[alive] for ids, _, alive in parts])
    kept_out = ids[held_out(ids)]
    among = ids if len(kept_out) < _FEWEST else kept_out
    own = np.sort(rng.choice(among, min(EACH, len(among)), replace=False))
    images = np.concatenate([rows[np.isin(ids, own)] for ids, rows, _ in parts]).astype(np.float32)
    kinds = {"image": images, **_beyond_images(images, rng)}
    if texts is not None and len(texts):
        kinds |= {"text": _some_rows(texts, rng), "odd_text": _odd_texts(texts, rng)}
    kinds["random"] = _unit(rng.standard_normal(images.shape))
    ends = np.cumsum([len(queries) for queries in kinds.values()]).tolist()
    probes = [
        Probe(kind, slice(end - len(queries), end)) for (kind, queries), end in zip(kinds.items(), ends, strict=True)
    ]
    # Queries derived from rows may have them as neighbours; only an unchanged image is excluded from its own results.
    owners = np.full(ends[-1], -1, np.int64)
    owners[: len(own)] = own
    allowed = [None if share == 1 else _some(ids - first_id, span, share, rng) for share in shares]
    return Sample(
        queries=np.ascontiguousarray(np.concatenate(list(kinds.values()))),
        own=owners,
        probes=tuple(probes),
        shares=tuple(shares),
        allowed=tuple(allowed),
        first_id=first_id,
        counts=tuple(len(ids) if among is None else int(np.count_nonzero(among)) for among in allowed),
    )


def true_neighbours(
    parts: Sequence[Rows], sample: Sample, k: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return ids and scores of the nearest rows for each query and share, both of shape (q, k), best first.

    They are padded with -1 and -inf. Rows are read once.
    """
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
    """The k best rows for each query so far; only rows that beat the worst of them are considered."""

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

    def ranked(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        order = np.argsort(-self._scores, axis=1, kind="stable")
        return np.take_along_axis(self._ids, order, 1), np.take_along_axis(self._scores, order, 1)


def _beyond_images(images: NDArray[np.float32], rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Return queries derived from rows: images of other places, of other sensors, and mixtures."""
    count = len(images)

    def drawn() -> NDArray[np.float32]:
        return images[rng.integers(count, size=count)]

    middle = images.mean(axis=0)
    offset = (images[rng.integers(count)] - images[rng.integers(count)]) * np.float32(_FURTHER)
    liked = np.mean([drawn() for _ in range(_MIXED)], axis=0)
    disliked = np.mean([drawn() for _ in range(_MIXED)], axis=0)
    return {
        "far_image": _unit(images + np.float32(_FURTHER) * (drawn() - drawn())),
        "other_sensor": _unit(middle + np.float32(_CONTRAST) * (images - middle) + offset),
        "mixture": _unit(2 * liked - disliked),
    }


def _some_rows(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    chosen = np.sort(rng.choice(len(values), min(EACH, len(values)), replace=False))
    return _unit(values[chosen])


def _odd_texts(texts: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return unusual sentences: as far from the given ones as these are from each other, and shifted further."""
    one, two, three = (texts[rng.integers(len(texts), size=min(EACH, len(texts)))] for _ in range(3))
    aside = _unit(rng.standard_normal(one.shape)) * np.float32(0.5)
    return _unit(one + two - three + aside * np.linalg.norm(one, axis=1, keepdims=True))


def _unit(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Normalise rows to length 1; rows of length 0 stay unchanged."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), np.float32)


def _some(places: NDArray[np.int64], span: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask that selects about a share of the ids in runs, shape (span,), including ids of deleted rows."""
    runs = rng.random(-(-len(places) // _RUN)) < share
    runs[rng.integers(len(runs))] = True
    allowed = np.zeros(span, bool)
    allowed[places[np.repeat(runs, _RUN)[: len(places)]]] = True
    return allowed
