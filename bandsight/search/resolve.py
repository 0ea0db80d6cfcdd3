"""From a request by meaning to a question: its examples as vectors, and a scorer."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.labels import Head
from bandsight.errors import QueryError
from bandsight.search.classifiers import PREFIX, ClassifierTerm, is_term, scorer_of
from bandsight.search.examples import ResolvedExample, resolve_examples
from bandsight.search.question import MAX_TERMS, Example, Semantic, check_text
from bandsight.search.ranking import ResultSelection
from bandsight.search.scorers import BestScorer, MeanScorer, Scorer
from bandsight.search.searcher import Searcher


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A question by meaning; made once for each request."""

    scorer: Scorer
    """Scores tiles."""
    positives: NDArray[np.float32]
    """Vectors of the positive examples, shape (p, dim)."""
    negatives: NDArray[np.float32]
    """Vectors of the negative examples, shape (n, dim)."""
    labels: tuple[str, ...]
    """What each positive example is called."""
    texts: NDArray[np.float32]
    """Vectors of the positive sentences, shape (texts, dim): probabilities are about these."""
    unfamiliar: str | None
    """Why these have no probability whatever the imagery, in words; None where they have."""
    exclude: tuple[int, ...]
    """Tiles that are examples; they are not among the results."""
    selection: ResultSelection
    """Which of the ranked tiles are shown."""
    min_probability: float | None
    """Least probability of a hit."""
    exact: bool
    """Look at every tile."""
    saved_form: Semantic
    """The request as it is saved: pictures as vectors."""
    page_form: Semantic
    """The request as later pages repeat it: places as vectors too."""
    key: str
    """Tells the question from others."""
    head: Head | None = None
    """The trained classifier that scores, whose scores are probabilities; None for examples."""

    @property
    def is_one(self) -> bool:
        """True for one positive example and nothing else: a hit's score is its cosine with it."""
        return len(self.positives) == 1 and not len(self.negatives)


def resolve_question(searcher: Searcher, asked: Semantic) -> Question:
    """Return the question that a request by meaning stands for.

    Raises:
        QueryError: An example cannot be used, or the parts contradict each other.
        NotFoundError: The archive does not hold a tile.
    """
    if asked.classifier is not None:
        return _classifier_question(searcher, asked, asked.classifier)
    examples = list(asked.positives())
    made = resolve_examples(searcher, [*examples, *asked.negative])
    wanted, unwanted = made[: len(examples)], made[len(examples) :]
    dim = searcher.dim
    texts = _stacked([one.vector for one in wanted if one.is_text], dim)
    if asked.min_probability is not None and not len(texts):
        raise QueryError(
            "min_probability: found no sentence among the positive examples; only sentences have a probability, so use "
            "min_score"
        )
    reasons = [one.unfamiliar for one in wanted if one.unfamiliar is not None]
    positives = _stacked([one.vector for one in wanted], dim)
    negatives = _stacked([one.vector for one in unwanted], dim)
    page_form = _with_examples(asked, [one.page_form for one in wanted], [one.page_form for one in unwanted])
    return Question(
        scorer=_scorer(asked, wanted, unwanted, positives, negatives),
        positives=positives,
        negatives=negatives,
        labels=tuple(one.label for one in wanted),
        texts=texts,
        unfamiliar=reasons[0] if reasons else None,
        exclude=tuple(sorted({tile for one in made for tile in one.tiles})),
        selection=_selection(asked),
        min_probability=asked.min_probability,
        exact=asked.exact,
        saved_form=_with_examples(asked, [one.saved_form for one in wanted], [one.saved_form for one in unwanted]),
        page_form=page_form,
        key=hashlib.blake2b(page_form.model_dump_json().encode(), digest_size=16).hexdigest(),
    )


def _classifier_question(searcher: Searcher, asked: Semantic, text: str) -> Question:
    """Return the question of a trained classifier; later pages keep its version."""
    term = ClassifierTerm.parse(text)
    classifier, head = term.resolve(searcher.archive)
    if asked.min_probability is not None:
        raise QueryError("min_probability: the scores of a classifier are probabilities, so use min_score")
    pinned = f"{classifier.name}/{head.cls}@{classifier.version}"
    least = term.least if asked.min_score is None else asked.min_score
    page_form = asked.model_copy(update={"classifier": pinned, "min_score": least})
    nothing = np.empty((0, searcher.dim), np.float32)
    return Question(
        scorer=scorer_of(head),
        positives=nothing,
        negatives=nothing,
        labels=(f"{PREFIX}{classifier.name}/{head.cls}",),
        texts=nothing,
        unfamiliar=None,
        exclude=(),
        selection=_selection(page_form),
        min_probability=None,
        exact=asked.exact,
        saved_form=asked.model_copy(update={"min_score": least}),
        page_form=page_form,
        key=hashlib.blake2b(page_form.model_dump_json().encode(), digest_size=16).hexdigest(),
        head=head,
    )


def _selection(asked: Semantic) -> ResultSelection:
    return ResultSelection(
        min_score=asked.min_score,
        group_by=asked.group_by,
        per_group=asked.group_limit or 1,
        max_overlap=asked.overlap,
        diversity=asked.diversity,
    )


def question_of(searcher: Searcher, q: str | list[str] | None, semantic: Semantic | None) -> Question | None:
    """Return the question of a request, None where it has none.

    Args:
        searcher: Archive and model.
        q: The short form: a sentence, or alternatives.
        semantic: The long form.

    Raises:
        QueryError: There are both, or the question cannot be used.
    """
    if q is not None and semantic is not None:
        raise QueryError("q, semantic: found both; pass one of them")
    asked = semantic if q is None else terms_of(q)
    return None if asked is None else resolve_question(searcher, asked)


def terms_of(q: str | list[str]) -> Semantic:
    """Return the request that `q` stands for: alternatives in a list or separated by commas, of which the best counts.

    Raises:
        QueryError: There is none, or there are too many, or one is too long.
    """
    alone = q if isinstance(q, str) else q[0] if len(q) == 1 else ""
    if is_term(alone):
        return Semantic(classifier=alone.strip())
    parts = q.split(",") if isinstance(q, str) else q
    terms = [check_text(part) for part in parts if part.strip()]
    if not terms:
        raise QueryError("q: found no text (empty); describe the place, e.g. a river beside fields")
    if len(terms) > MAX_TERMS:
        raise QueryError(f"q: found {len(terms)} alternatives; at most {MAX_TERMS} are allowed")
    return Semantic(text=terms, strategy="best" if len(terms) > 1 else "average")


def like_tile(tile_id: int) -> Semantic:
    """Return the request for tiles that look like one."""
    return Semantic(ids=[tile_id])


def _scorer(
    asked: Semantic,
    wanted: list[ResolvedExample],
    unwanted: list[ResolvedExample],
    positives: NDArray[np.float32],
    negatives: NDArray[np.float32],
) -> Scorer:
    if asked.strategy == "best":
        return BestScorer(positives, negatives)
    if len(negatives):
        # Their weighted mean counts as one.
        negatives = np.average(negatives, axis=0, weights=[one.weight for one in unwanted])[None].astype(np.float32)
    weights = tuple(one.weight for one in wanted)
    return MeanScorer(positives, negatives, None if set(weights) == {1.0} else weights)


def _with_examples(asked: Semantic, positive: list[Example], negative: list[Example]) -> Semantic:
    """Return a request with these examples in place of its own, short forms included."""
    short = dict.fromkeys(("text", "image", "ids", "points", "area"))
    return asked.model_copy(update={**short, "positive": positive, "negative": negative})


def _stacked(vectors: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    return np.stack(vectors) if vectors else np.empty((0, dim), np.float32)
