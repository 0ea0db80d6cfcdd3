"""Semantic queries: the member `semantic` of a request, and the question that it resolves to, which ranks tiles."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Head
from bandsight.catalog.records import Hit
from bandsight.errors import QueryError
from bandsight.search.by_cell import REASON
from bandsight.search.classifiers import PREFIX, ClassifierTerm, scorer_of
from bandsight.search.examples import (
    Example,
    Picture,
    Point,
    ResolvedExample,
    Strict,
    Texts,
    TileId,
    check_text,
    resolve_examples,
)
from bandsight.search.limits import MAX_EXAMPLES, MAX_GROUP, MAX_TERMS
from bandsight.search.ranking import Page, ResultSelection, find
from bandsight.search.scorers import BestScorer, MeanScorer, Scorer
from bandsight.search.searcher import FamilyScales, Searcher, calibrated

_MIX = "not calibrated for a mix of examples"
_TOO_FEW = "the classifier has labels at too few places for calibrated probabilities"


class Semantic(Strict):
    """A semantic search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "a lake", "negative": [{"text": "clouds"}], "min_probability": 0.2}],
        }
    )

    positive: list[Example] = Field(default=[], max_length=MAX_EXAMPLES)
    negative: list[Example] = Field(default=[], max_length=MAX_EXAMPLES)
    text: Texts | None = Field(default=None, description="Positive examples")
    image: Picture | None = Field(default=None, description="A positive example")
    ids: list[TileId] | None = Field(default=None, max_length=MAX_EXAMPLES, description="Positive examples")
    points: list[Point] | None = Field(default=None, max_length=MAX_EXAMPLES, description="Positive examples")
    area: dict[str, Any] | None = Field(default=None, description="A positive example")
    classifier: str | None = Field(
        default=None,
        max_length=200,
        description="A trained classifier instead of examples: NAME, NAME/CLASS or NAME@VERSION",
    )
    strategy: Literal["average", "best"] = Field(
        default="average", description="average: the mean of all examples; best: the nearest example"
    )
    min_score: float | None = Field(default=None, ge=-1, le=1)
    min_probability: float | None = Field(
        default=None, ge=0, le=1, description="Minimum probability of the likeliest positive sentence"
    )
    group_by: Literal["scene", "place", "collection", "sensor"] | None = None
    group_limit: int | None = Field(
        default=None, ge=1, le=MAX_GROUP, description="Maximum number of results per group; default: 1"
    )
    overlap: float | None = Field(
        default=None, ge=0, le=1, description="Maximum overlap of two results, as a share of the smaller one"
    )
    diversity: float = Field(default=0.0, ge=0, le=1, description="Weight of being different from better results")
    by_cell: bool = Field(
        default=False,
        description="Rank tiles by their best cell, to find things smaller than a tile, if scenes were indexed with "
        "--cells; hits then have bandsight:best_cell",
    )
    exact: bool = Field(default=False, description="Compare every tile instead of using the index")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.by_cell and self.min_probability is not None:
            raise ValueError("min_probability: cells have no probabilities; use min_score with by_cell")
        positives = list(self.positives())
        count = len(positives) + len(self.negative)
        if self.classifier is not None:
            if count:
                raise ValueError("classifier together with examples; pass one of them, or filter by `classifiers`")
            return self
        if not positives and (self.strategy == "average" or not self.negative):
            raise ValueError("no positive example; pass text, image, ids, points, area or positive")
        if count > MAX_EXAMPLES:
            raise ValueError(f"{count} examples; at most {MAX_EXAMPLES} are allowed")
        if self.group_limit is not None and self.group_by is None:
            raise ValueError("group_limit without group_by; pass both")
        if self.strategy == "best" and any(one.weight is not None for one in (*positives, *self.negative)):
            raise ValueError("weight: only for the strategy average")
        return self

    def positives(self) -> Iterator[Example]:
        """Yield all positive examples, short forms last."""
        yield from self.positive
        texts = [self.text] if isinstance(self.text, str) else self.text or ()
        yield from (Example(text=text) for text in texts)
        if self.image is not None:
            yield Example(image=self.image)
        yield from (Example(id=tile) for tile in self.ids or ())
        yield from (Example(point=point) for point in self.points or ())
        if self.area is not None:
            yield Example(area=self.area)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A resolved semantic query, created once per request: a `Ranking` of an archive's tiles."""

    searcher: Searcher
    """The archive and the model."""
    scorer: Scorer
    """Scores tiles."""
    positives: NDArray[np.float32]
    """Vectors of the positive examples, shape (p, dim)."""
    negatives: NDArray[np.float32]
    """Vectors of the negative examples, shape (n, dim)."""
    labels: tuple[str, ...]
    """Label of each positive example."""
    texts: NDArray[np.float32]
    """Vectors of the positive sentences, shape (texts, dim), to which probabilities refer."""
    unfamiliar: str | None
    """Why these have no probability on any imagery, or None if they have one."""
    only_texts: bool
    """Whether scores depend on one sentence, or on the best of several, and nothing else."""
    families: FamilyScales
    """Scales of scores, so that the order is that of the probabilities."""
    exclude: tuple[int, ...]
    """Example tiles, excluded from the results."""
    selection: ResultSelection
    """Selects results from the ranked tiles."""
    min_probability: float | None
    """Minimum probability of a hit."""
    exact: bool
    """Compare with every tile, without the index."""
    by_cell: bool
    """Rank by the best cell of each tile."""
    saved_form: Semantic
    """The request for saving, with images as vectors."""
    page_form: Semantic
    """The request for later pages, with places as vectors too."""
    key: str
    """Identity of the query; see `Ranking`."""
    head: Head | None = None
    """The trained classifier used as scorer, or None for examples."""

    @property
    def is_one(self) -> bool:
        """Whether there is just one positive example, so that scores are cosines with it."""
        return len(self.positives) == 1 and not len(self.negatives)

    def page(self, where: Filter, k: int, after: list[Any] | None) -> Page:
        """Return the k best hits after a place; see `Ranking`."""
        among = where
        if self.exclude:
            among = Filter(exclude=self.exclude, all_of=() if where.is_empty else (where,))
        found = find(
            self.searcher.archive,
            self.scorer,
            k,
            among,
            self.selection,
            after=after,
            only=self._likely(among),
            exact=self.exact,
            with_vectors=bool(len(self.positives)) and not self.is_one,
            check=self.searcher.check,
            by_cell=self.by_cell,
            families=self.families,
        )
        hits = self._described(found.hits)
        # Only the first page, which has the best hits, tells whether anything matches.
        nothing = None if after is not None else _nothing_matches(hits) if hits else self._has_threshold
        return replace(found, hits=hits, matched=self._matched(found, is_first=after is None), nothing_matches=nothing)

    @property
    def _has_threshold(self) -> bool:
        return self.min_probability is not None or self.selection.min_score is not None

    def _likely(self, among: Filter) -> list[int] | None:
        """Return the tiles with the minimum probability, or None if none is set."""
        if self.min_probability is None:
            return None
        return [] if self.unfamiliar is not None else self.searcher.likely(self.texts, self.min_probability, among)

    def _described(self, hits: list[Hit]) -> list[Hit]:
        """Return hits with probability, match and most similar example."""
        if self.head is not None and not self.by_cell:
            return _classified(hits, self.head, self.labels[0])
        if self.head is not None:
            return [replace(hit, probability_reason=REASON, matched=self.labels[0]) for hit in hits]
        if not hits or not len(self.positives):
            return hits
        kinds = self.searcher.imagery.of_hits(hits)
        if self.is_one:
            matched = [self.labels[0]] * len(hits)
            cosines = self.families.cosines(np.array([hit.score for hit in hits], np.float32), kinds)[:, None]
        else:
            vectors = np.stack([hit.vector for hit in hits if hit.vector is not None])
            nearest = (vectors @ self.positives.T).argmax(axis=1).tolist()
            matched = [self.labels[at] for at in nearest]
            cosines = vectors @ self.texts.T
        if self.unfamiliar is not None or (len(self.texts) and not self.only_texts):
            hits = [replace(hit, probability_reason=self.unfamiliar or _MIX) for hit in hits]
        elif len(self.texts):
            hits = calibrated(self.searcher.encoder, hits, kinds, cosines, self.texts)
        return [replace(hit, matched=label) for hit, label in zip(hits, matched, strict=True)]

    def _matched(self, found: Page, *, is_first: bool) -> int | None:
        """Return the total number of hits, or None if it is unknown without computing all pages."""
        if is_first and found.next is None:
            return len(found.hits)
        selection = self.selection
        undecided = selection.drops or selection.diversity or selection.min_score is not None
        return None if undecided else found.matched


def resolve_question(searcher: Searcher, asked: Semantic) -> Question:
    """Resolve a semantic request.

    Raises:
        QueryError: An example is invalid, or parts contradict each other.
        NotFoundError: A tile is not in the archive.
    """
    if asked.classifier is not None:
        return _classifier_question(searcher, asked, asked.classifier)
    examples = list(asked.positives())
    made = resolve_examples(searcher, [*examples, *asked.negative])
    wanted, unwanted = made[: len(examples)], made[len(examples) :]
    dim = searcher.dim
    texts = _stacked([one.meaning.vector for one in wanted if one.meaning.is_text], dim)
    if asked.min_probability is not None and not len(texts):
        raise QueryError(
            "min_probability: found no sentence among the positive examples; only sentences have probabilities, so use "
            "min_score"
        )
    reasons = [one.meaning.unfamiliar for one in wanted if one.meaning.unfamiliar is not None]
    unfamiliar = REASON if asked.by_cell and len(texts) else reasons[0] if reasons else None
    only_texts = len(texts) == len(made) and (len(made) == 1 or asked.strategy == "best")
    compares = only_texts and unfamiliar is None
    positives = _stacked([one.meaning.vector for one in wanted], dim)
    negatives = _stacked([one.meaning.vector for one in unwanted], dim)
    page_form = _with_examples(asked, [one.page_form for one in wanted], [one.page_form for one in unwanted])
    return Question(
        searcher=searcher,
        scorer=_scorer(asked, wanted, unwanted, positives, negatives),
        positives=positives,
        negatives=negatives,
        labels=tuple(one.meaning.label for one in wanted),
        texts=texts,
        unfamiliar=unfamiliar,
        only_texts=only_texts,
        families=FamilyScales(searcher.imagery, searcher.encoder.probabilities.scales(texts) if compares else {}),
        exclude=tuple(sorted({tile for one in made for tile in one.meaning.tiles})),
        selection=_selection(asked),
        min_probability=asked.min_probability,
        exact=asked.exact,
        by_cell=asked.by_cell,
        saved_form=_with_examples(asked, [one.saved_form for one in wanted], [one.saved_form for one in unwanted]),
        page_form=page_form,
        key=hashlib.blake2b(page_form.model_dump_json().encode(), digest_size=16).hexdigest(),
    )


def _classifier_question(searcher: Searcher, asked: Semantic, text: str) -> Question:
    """Resolve a query by a trained classifier; later pages keep its version."""
    term = ClassifierTerm.parse(text)
    classifier, head = term.resolve(searcher.archive)
    if asked.min_probability is not None:
        raise QueryError("min_probability: scores of classifiers are probabilities, so use min_score")
    pinned = f"{classifier.name}/{head.cls}@{classifier.version}"
    least = term.least if asked.min_score is None else asked.min_score
    page_form = asked.model_copy(update={"classifier": pinned, "min_score": least})
    nothing = np.empty((0, searcher.dim), np.float32)
    return Question(
        searcher=searcher,
        scorer=scorer_of(head),
        positives=nothing,
        negatives=nothing,
        labels=(f"{PREFIX}{classifier.name}/{head.cls}",),
        texts=nothing,
        unfamiliar=None,
        only_texts=False,
        families=FamilyScales(),
        exclude=(),
        selection=_selection(page_form),
        min_probability=None,
        exact=asked.exact,
        by_cell=asked.by_cell,
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
    """Resolve the query of a request, or return None if it has none.

    Args:
        searcher: Archive and model.
        q: The short form: a sentence or alternatives.
        semantic: The long form.

    Raises:
        QueryError: Both are given, or the query is invalid.
    """
    if q is not None and semantic is not None:
        raise QueryError("q, semantic: found both; pass one of them")
    asked = semantic if q is None else terms_of(q)
    return None if asked is None else resolve_question(searcher, asked)


def terms_of(q: str | list[str]) -> Semantic:
    """Convert `q`, alternatives in a list or separated by commas, to a request in which the best one counts.

    Raises:
        QueryError: There are none or too many alternatives, or one is too long.
    """
    alone = q if isinstance(q, str) else q[0] if len(q) == 1 else ""
    if alone.strip().startswith(PREFIX):
        return Semantic(classifier=alone.strip())
    parts = q.split(",") if isinstance(q, str) else q
    terms = [check_text(part) for part in parts if part.strip()]
    if not terms:
        raise QueryError("q: found no text (empty); describe the place, e.g. a river beside fields")
    if len(terms) > MAX_TERMS:
        raise QueryError(f"q: found {len(terms)} alternatives; at most {MAX_TERMS} are allowed")
    return Semantic(text=terms, strategy="best" if len(terms) > 1 else "average")


def like_tile(tile_id: int) -> Semantic:
    """Return the request for tiles similar to one."""
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
        # The weighted mean counts as one example.
        negatives = np.average(negatives, axis=0, weights=[one.weight for one in unwanted])[None].astype(np.float32)
    weights = tuple(one.weight for one in wanted)
    return MeanScorer(positives, negatives, None if set(weights) == {1.0} else weights)


def _with_examples(asked: Semantic, positive: list[Example], negative: list[Example]) -> Semantic:
    """Return a request with its examples replaced, including short forms."""
    short = dict.fromkeys(("text", "image", "ids", "points", "area"))
    return asked.model_copy(update={**short, "positive": positive, "negative": negative})


def _stacked(vectors: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    return np.stack(vectors) if vectors else np.empty((0, dim), np.float32)


def _nothing_matches(hits: Sequence[Hit]) -> bool | None:
    """Return whether no hit reaches its threshold; None if none does and some have no threshold."""
    if any(hit.match for hit in hits):
        return False
    return True if hits and all(hit.match is False for hit in hits) else None


def _classified(hits: Sequence[Hit], head: Head, label: str) -> list[Hit]:
    """Return a classifier's hits with probabilities, if these are calibrated on labels at other places."""
    if head.calibrated:
        return [replace(hit, probability=hit.score, matched=label) for hit in hits]
    return [replace(hit, probability_reason=_TOO_FEW, matched=label) for hit in hits]
