"""Active learning: proposes tiles to label that are uncertain, typical of the archive, and diverse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Classifier, Label, LabelCollection
from bandsight.errors import QueryError
from bandsight.learning.logistic import Floats, sigmoid
from bandsight.learning.training import Background, TooFewLabelsError, fit_on
from bandsight.search.searcher import Searcher

MAX_PROPOSALS = 1000
Vectors = NDArray[np.float32]
# Number of most uncertain tiles to choose from.
_POOL = 1000
# Number of nearest neighbours that measure how typical a tile is.
_NEIGHBOURS = 10
# Seed for the random proposals made until there are labels of both kinds.
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A tile to label next."""

    tile: int
    """Id of the tile."""
    cls: str
    """The class with an uncertain prediction."""
    probability: float | None
    """Probability of that class; None before there is a classifier."""
    gain: float
    """Expected information gain, 0..1; comparable within one list only."""


def propose(searcher: Searcher, name: str, count: int, where: Filter | None = None) -> list[Proposal]:
    """Return tiles to label next, most informative first.

    Trains a classifier on the current labels. Without labels of both kinds, half of the tiles are the best matches of
    the class sentences, and half are random.

    Args:
        searcher: Archive and model.
        name: Name of the collection.
        count: Maximum number of tiles.
        where: Filter of tiles to propose; None for all.

    Raises:
        NotFoundError: The collection does not exist.
        QueryError: The filter is invalid, or there are neither labels nor sentences.
    """
    if not 1 <= count <= MAX_PROPOSALS:
        raise QueryError(f"limit: found {count}; need 1 to {MAX_PROPOSALS}")
    archive = searcher.archive
    collection, labels = archive.labels.get(name), archive.labels.labels(name)
    among = where or Filter()
    if labels:
        among = Filter(exclude=tuple(sorted({label.tile for label in labels})), all_of=(among,))
    background = Background.of(archive)
    try:
        classifier = fit_on(searcher, collection, labels, background)
    except TooFewLabelsError:
        return _first(searcher, collection, labels, count, among)
    return _instructive(searcher, classifier, labels, background, count, among)


def _instructive(
    searcher: Searcher,
    classifier: Classifier,
    labels: Sequence[Label],
    background: Background,
    count: int,
    among: Filter,
) -> list[Proposal]:
    archive = searcher.archive
    weights = np.stack([head.weights for head in classifier.heads])
    biases = np.array([head.bias for head in classifier.heads])
    found = archive.similarities(weights, among)
    if not len(found.selection.ids):
        return []
    chances = sigmoid(found.scores.astype(np.float64) + biases[:, None])
    doubts = 1 - np.abs(2 * chances - 1)
    doubt, unsure = doubts.max(axis=0), doubts.argmax(axis=0)
    most = min(max(_POOL, 2 * count), len(doubt))
    pool = np.sort(np.argpartition(-doubt, most - 1)[:most])
    space = background.space
    candidates = _unit(space.features(archive.vectors(found.selection.ids[pool].tolist())))
    typical = _typical(candidates, _unit(background.features))
    known = sorted({label.tile for label in labels} & set(archive.tiles_by_id([label.tile for label in labels])))
    labelled = _unit(space.features(archive.vectors(known)))
    order, gains = _diverse(candidates, doubt[pool] * typical, labelled, count)
    return [
        Proposal(
            tile=int(found.selection.ids[pool[at]]),
            cls=classifier.heads[int(unsure[pool[at]])].cls,
            probability=round(float(chances[unsure[pool[at]], pool[at]]), 3),
            gain=round(gain, 3),
        )
        for at, gain in zip(order, gains, strict=True)
    ]


def _typical(candidates: Vectors, sample: Vectors) -> Floats:
    """Return the mean similarity of each candidate to its nearest tiles in the sample, 0..1, shape (n,)."""
    near = candidates @ sample.T
    count = min(_NEIGHBOURS, near.shape[1])
    mean = np.partition(near, near.shape[1] - count, axis=1)[:, -count:].mean(axis=1)
    return np.asarray(np.clip(mean, 0, 1), np.float64)


def _diverse(candidates: Vectors, values: Floats, labelled: Vectors, count: int) -> tuple[list[int], list[float]]:
    """Greedily choose candidates by value times dissimilarity to labelled and already chosen tiles."""
    nearest = (candidates @ labelled.T).max(axis=1) if len(labelled) else np.zeros(len(candidates))
    left = np.ones(len(candidates), bool)
    chosen, gains = [], []
    for _ in range(min(count, len(candidates))):
        gain = np.where(left, values * (1 - np.clip(nearest, 0, 1)), -1.0)
        best = int(np.argmax(gain))
        chosen.append(best)
        gains.append(float(gain[best]))
        left[best] = False
        nearest = np.maximum(nearest, candidates @ candidates[best])
    return chosen, gains


def _first(
    searcher: Searcher, collection: LabelCollection, labels: Sequence[Label], count: int, among: Filter
) -> list[Proposal]:
    """Return tiles for the first labels: half by the sentences, half at random."""
    archive = searcher.archive
    sentences = {cls: text for cls, text in collection.sentences.items() if text}
    if not sentences and not labels:
        raise QueryError(
            f"labels {collection.name}: has neither labels nor sentences, so there is no basis for proposals; label "
            "some search results, or describe a class: bandsight label class"
        )
    proposals: dict[int, Proposal] = {}
    per_class = max(1, count // 2 // max(1, len(sentences)))
    if sentences:
        found = archive.similarities(searcher.encoder.embed_texts(list(sentences.values())), among)
        for cls, scores in zip(sentences, found.scores, strict=True):
            for at in np.argsort(-scores, kind="stable")[:per_class].tolist():
                tile = int(found.selection.ids[at])
                proposals.setdefault(tile, Proposal(tile=tile, cls=cls, probability=None, gain=1.0))
    ids = archive.tile_ids(among)
    drawn = np.random.default_rng([_SEED, len(labels)]).permutation(ids)
    for tile in drawn.tolist():
        if len(proposals) >= count:
            break
        proposals.setdefault(tile, Proposal(tile=tile, cls=collection.classes[0], probability=None, gain=0.0))
    return list(proposals.values())[:count]


def _unit(rows: Floats) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
