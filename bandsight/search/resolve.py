"""A question by meaning, understood: vectors, thresholds and arrangement, ready to be ranked or mapped."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import QueryError
from bandsight.search.examples import Resolved, resolve
from bandsight.search.limits import MAX_TERMS
from bandsight.search.query_text import check_text
from bandsight.search.question import Example, Semantic
from bandsight.search.result_selection import Arrangement
from bandsight.search.scorers import Query
from bandsight.search.searcher import Searcher


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """What is asked; made once a request."""

    query: Query
    """The examples as vectors."""
    labels: tuple[str, ...]
    """What each positive is called."""
    texts: NDArray[np.float32]
    """Vectors of the positives that are sentences, shape (texts, dim): what probabilities are of."""
    exclude: tuple[int, ...]
    """Tiles that are examples themselves; no answer shows them."""
    arrangement: Arrangement
    """Which of the ranked tiles are shown."""
    min_probability: float | None
    """Hits that are less likely are not shown."""
    exact: bool
    """Look at every tile."""
    kept: Semantic
    """The same question for later: pictures as vectors."""
    frozen: Semantic
    """The same question from page to page: places as vectors too."""
    key: str
    """Tells it from other questions."""

    @property
    def is_one(self) -> bool:
        """True where it is one example and nothing else: a hit's score is its cosine to it."""
        return len(self.query.positives) == 1 and not len(self.query.negatives)


def resolve_question(searcher: Searcher, asked: Semantic) -> Question:
    """Return what a question means.

    Raises:
        QueryError: An example cannot be used, or the parts contradict each other.
        NotFoundError: A tile that the archive does not hold.
    """
    positives = list(asked.positives())
    made = resolve(searcher, [*positives, *asked.negative])
    wanted, unwanted = made[: len(positives)], made[len(positives) :]
    dim = searcher.encoder.dim
    texts = _stacked([one.vector for one in wanted if one.is_text], dim)
    if asked.min_probability is not None and not len(texts):
        raise QueryError("min_probability: only sentences have one, and none is among the positives; use min_score")
    frozen = _plain(asked, [one.frozen for one in wanted], [one.frozen for one in unwanted])
    return Question(
        query=_query(asked, wanted, unwanted, dim),
        labels=tuple(one.label for one in wanted),
        texts=texts,
        exclude=tuple(sorted({tile for one in made for tile in one.tiles})),
        arrangement=Arrangement(
            min_score=asked.min_score,
            group_by=asked.group_by,
            per_group=asked.group_limit or 1,
            max_overlap=asked.overlap,
            diversity=asked.diversity,
        ),
        min_probability=asked.min_probability,
        exact=asked.exact,
        kept=_plain(asked, [one.kept for one in wanted], [one.kept for one in unwanted]),
        frozen=frozen,
        key=hashlib.blake2b(frozen.model_dump_json().encode(), digest_size=16).hexdigest(),
    )


def terms_of(q: str | list[str]) -> Semantic:
    """Return the question that `q` is short for: alternatives, separated by commas or a list; the best counts.

    Raises:
        QueryError: There is none, or there are too many, or one is too long.
    """
    parts = q.split(",") if isinstance(q, str) else q
    terms = [check_text(part) for part in parts if part.strip()]
    if not terms:
        raise QueryError("q: found no text (empty); describe the place, e.g. a river beside fields")
    if len(terms) > MAX_TERMS:
        raise QueryError(f"q: found {len(terms)} alternatives; at most {MAX_TERMS} are allowed")
    return Semantic(text=terms, strategy="best" if len(terms) > 1 else "average")


def like_tile(tile_id: int) -> Semantic:
    """Return the question what looks like a tile."""
    return Semantic(ids=[tile_id])


def _query(asked: Semantic, wanted: list[Resolved], unwanted: list[Resolved], dim: int) -> Query:
    positives = _stacked([one.vector for one in wanted], dim)
    negatives = _stacked([one.vector for one in unwanted], dim)
    if asked.strategy == "best":
        return Query(positives=positives, negatives=negatives, strategy="best")
    if len(negatives):
        # Their weighted mean counts as one.
        negatives = np.average(negatives, axis=0, weights=[one.weight for one in unwanted])[None].astype(np.float32)
    weights = tuple(one.weight for one in wanted)
    return Query(positives=positives, negatives=negatives, weights=None if set(weights) == {1.0} else weights)


def _plain(asked: Semantic, positive: list[Example], negative: list[Example]) -> Semantic:
    """Return a question with these examples, and no short form."""
    short = dict.fromkeys(("text", "image", "ids", "points", "area"))
    return asked.model_copy(update={**short, "positive": positive, "negative": negative})


def _stacked(vectors: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    return np.stack(vectors) if vectors else np.empty((0, dim), np.float32)
