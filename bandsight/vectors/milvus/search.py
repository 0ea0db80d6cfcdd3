"""Searches with Milvus if that is faster: it proposes candidates, and raw vectors in the segments decide."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.vectors.local.search import Masks, scan, scan_parts
from bandsight.vectors.local.snapshot import StoreState, located
from bandsight.vectors.milvus.collection import MAX_HITS, CollectionGoneError, Milvus
from bandsight.vectors.milvus.expressions import expression_of
from bandsight.vectors.milvus.facts import Facts, Width
from bandsight.vectors.scores import Ranked, best, raw_scores

# If fewer tiles pass the filter, they are scanned in the segments: that is exact, and as fast as a request.
FEW = 10_000
# Hits to request beyond k, so that rows that pass the expression but not the filter rarely need a second request.
_SPARE = 1.2
_FURTHER = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MilvusChoice:
    """A `Choice`: the selected rows of one state."""

    state: StoreState
    masks: Masks
    where: Filter
    milvus: Milvus
    facts: Facts | None

    @property
    def count(self) -> int:
        """Number of selected rows."""
        return self.masks.survivors

    def search(self, queries: NDArray[np.float32], k: int, *, exact: bool = False) -> list[Ranked]:
        """Search with Milvus if that is faster, otherwise by exact scan; see `VectorStore`."""
        queries = np.ascontiguousarray(queries, np.float32)
        k = min(k, self.masks.survivors)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        width = None if exact or self.masks.survivors <= FEW else self._width(k)
        if width is None:
            return scan(scan_parts(self.state, self.masks), queries, k)
        return self.answer(queries, k, width)

    def _width(self, k: int) -> Width | None:
        width = None if self.facts is None else self.facts.width(self.masks.survivors / self.masks.total, k)
        return width if width is not None and width.ef <= MAX_HITS else None

    def answer(self, queries: NDArray[np.float32], k: int, width: Width) -> list[Ranked]:
        """Search with Milvus; k is at most the number of selected rows.

        Raises:
            EngineUnavailableError: Milvus does not answer.
        """
        facts, state = self.facts, self.state
        assert facts is not None
        old, fresh = self.masks.split([one.part for one in state.shown], facts.first_id, facts.up_to)
        if not old.survivors:
            return scan(scan_parts(state, fresh), queries, k)
        late = scan(scan_parts(state, fresh), queries, min(k, fresh.survivors)) if fresh.survivors else None
        allowed = _ids(state, old)
        try:
            found = self._candidates(facts, queries, min(k, old.survivors), width, allowed)
        except CollectionGoneError:
            _log.warning("Milvus has no collection %s: searches scan until: bandsight optimize", facts.collection)
            return scan(scan_parts(state, self.masks), queries, k)
        answers: list[Ranked] = []
        for row, query in enumerate(queries):
            ids = found[row]
            if ids is None:
                # Milvus found fewer than k, but the contract is min(k, matching), so scan.
                answers += scan(scan_parts(state, self.masks), query[None], k)
                continue
            ranked = best(ids, raw_scores_of(state, ids, query), k)
            if late is not None:
                late_ids, late_scores = late[row]
                ranked = best(np.concatenate([ranked[0], late_ids]), np.concatenate([ranked[1], late_scores]), k)
            answers.append(ranked)
        return answers

    def _candidates(
        self, facts: Facts, queries: NDArray[np.float32], k: int, width: Width, allowed: NDArray[np.int64]
    ) -> list[NDArray[np.int64] | None]:
        """Return at least k passing tiles for each query; None if Milvus returns fewer.

        The expression passes a few more tiles than the filter. If too many hits are dropped, more are requested.
        """
        expression = expression_of(self.where, self.state.scenes)
        found: list[NDArray[np.int64] | None] = [None] * len(queries)
        waiting = np.arange(len(queries))
        fetch = min(MAX_HITS, int(k * _SPARE) + 16)
        while len(waiting):
            hits = self.milvus.search(facts.collection, queries[waiting], fetch, max(width.ef, fetch), expression)
            for row, (ids, _) in zip(waiting.tolist(), hits, strict=True):
                passing = ids[_among(ids, allowed)]
                if len(passing) >= k:
                    found[row] = passing
            if fetch == MAX_HITS:
                break
            waiting = np.array([row for row in waiting.tolist() if found[row] is None], np.intp)
            fetch = min(MAX_HITS, fetch * _FURTHER)
        return found


def _ids(state: StoreState, masks: Masks) -> NDArray[np.int64]:
    """Return the ids of the selected rows, ascending."""
    parts = [one.part.columns.ids[mask] for one, mask in zip(state.shown, masks.masks, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _among(ids: NDArray[np.int64], allowed: NDArray[np.int64]) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(allowed, ids), len(allowed) - 1)
    passing: NDArray[np.bool_] = allowed[at] == ids
    return passing


def raw_scores_of(state: StoreState, ids: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the score of each tile from its raw vector, shape (n,)."""
    scores = np.empty(len(ids), np.float32)
    for chosen, file, rows in located(state, ids):
        scores[chosen] = raw_scores(file.sound(rows), query)
    return scores
