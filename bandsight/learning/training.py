"""Trains the classifier of a label collection, and evaluates it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import NONE, SKIP, Classifier, Head, Label, LabelCollection
from bandsight.errors import QueryError
from bandsight.learning.features import FeatureSpace
from bandsight.learning.folds import Groups, places
from bandsight.learning.heads import MIN_PLACES, Examples, TrainedHead, train_head
from bandsight.learning.logistic import Floats, sigmoid
from bandsight.search.searcher import Searcher

SAMPLE = 4000
"""Number of random tiles to estimate the distribution of the archive's vectors."""
# Maximum number of labels; more are subsampled. A linear head gains little from more, and training stays within
# seconds.
_MOST_TRAINED = 4000
_MOST_MISTAKES = 20
# A label is a likely error if heads trained on other places give its class less than this probability.
_UNLIKELY = 0.2
# Tiles with a higher cosine look the same to the model.
_SAME = 0.999
_ROUNDS = 200
# Prior for the fraction of the archive that has the class, and its weight. Targets are rare, and without it, a class
# that the labels hardly separate would seem to be everywhere.
_PRIOR_SHARE, _PRIOR_WEIGHT = 0.05, 0.3
_LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """Randomly drawn tiles of an archive, and the feature space that they define."""

    space: FeatureSpace
    """The feature space."""
    features: Floats
    """Features of the tiles, shape (n, dim)."""

    @classmethod
    def of(cls, archive: Archive) -> "Background":
        """Draw tiles of an archive, the same in every run."""
        sample = sample_vectors(archive)
        space = FeatureSpace.of(sample)
        return cls(space=space, features=space.features(sample))


class TooFewLabelsError(QueryError):
    """There are no positive or no negative labels of a class."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """Labelled tiles with one class each."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    classes: NDArray[np.str_]
    """Class of each tile, shape (n,)."""
    vectors: NDArray[np.float32]
    """Vectors, shape (n, dim)."""
    groups: Groups
    """Place of each tile, shape (n,)."""
    left_out: Mapping[str, int]
    """Number of excluded tiles by reason."""
    contradictory: tuple[int, ...]
    """Tiles excluded because their labels are tied."""


def train(searcher: Searcher, name: str) -> Classifier:
    """Train the classifier of a collection, store it as the newest version, and return it.

    Args:
        searcher: Archive and model; the model encodes the sentences of classes.
        name: Name of the collection.

    Raises:
        NotFoundError: The collection does not exist.
        QueryError: The labels are insufficient: no positives, no negatives, or all from another model.
    """
    archive = searcher.archive
    made = fit(searcher, archive.labels.get(name), archive.labels.labels(name))
    return replace(made, version=archive.labels.add_classifier(made))


def fit(searcher: Searcher, collection: LabelCollection, labels: Sequence[Label]) -> Classifier:
    """Train a classifier on labels, with version 0; see `train`."""
    return fit_on(searcher, collection, labels, Background.of(searcher.archive))


def fit_on(
    searcher: Searcher, collection: LabelCollection, labels: Sequence[Label], background_of: "Background"
) -> Classifier:
    """Train a classifier like `fit`, with the archive's feature space, which other steps share."""
    archive = searcher.archive
    chosen = training_set(archive, collection, labels)
    space, background = background_of.space, background_of.features
    rows = space.features(chosen.vectors)
    sentences = [cls for cls in collection.classes if collection.sentences[cls]]
    directions = {}
    if sentences:
        texts = searcher.encoder.embed_texts([collection.sentences[cls] for cls in sentences])
        directions = {cls: space.direction(vector) for cls, vector in zip(sentences, texts, strict=True)}
    heads, report = [], {}
    mistakes: list[dict[str, Any]] = []
    for cls in collection.classes:
        positive = chosen.classes == cls
        if not positive.any():
            continue
        direction = directions.get(cls)
        spread = 1.0 if direction is None else float((background @ direction).std()) or 1.0
        examples = Examples(
            rows=rows,
            likeness=space.direction(chosen.vectors),
            positive=positive,
            groups=chosen.groups,
            direction=direction,
            spread=max(spread, 1e-9),
        )
        trained = train_head(examples)
        shift, share = share_of_archive(
            background @ trained.weights + trained.bias,
            float(positive.mean()),
            trained,
            least=int(positive.sum()) / archive.tile_count,
        )
        weights, bias = space.on_vectors(trained.weights, trained.bias + shift)
        heads.append(Head(cls=cls, weights=weights.astype(np.float32), bias=bias, calibrated=trained.calibrated))
        report[cls] = {"labels": int(positive.sum()), "share_of_archive": round(share, 4), **trained.figures}
        mistakes += _mistakes(cls, chosen, positive, trained)
    mistakes.sort(key=lambda one: one["probability"])
    return Classifier(
        name=collection.name,
        version=0,
        created=datetime.now(UTC).replace(microsecond=0),
        model_digest=archive.model.digest,
        labels=len(chosen.ids),
        heads=tuple(heads),
        report={
            "classes": report,
            "without": int((chosen.classes == NONE).sum()),
            "places": int(chosen.groups.max()) + 1,
            "left_out": dict(chosen.left_out),
            "warnings": _warnings(collection, chosen, report),
            "mistakes": mistakes[:_MOST_MISTAKES],
        },
    )


def training_set(archive: Archive, collection: LabelCollection, labels: Sequence[Label]) -> TrainingSet:
    """Return the labelled tiles for training.

    Raises:
        QueryError: There are too few, or they are from another model.
    """
    name = collection.name
    current = [label for label in labels if label.model_digest == archive.model.digest]
    if labels and not current:
        raise QueryError(
            f"labels {name}: all {len(labels):,} are from before `bandsight reindex` with another model; run: "
            f"bandsight label reattach {name}"
        )
    left_out: Counter[str] = Counter({"another model": len(labels) - len(current)})
    left_out["skipped"] = sum(label.cls == SKIP for label in current)
    decided, contradictory = decided_classes(current)
    left_out["contradictory"] = len(contradictory)
    there = set(archive.tiles_by_id(sorted(decided)))
    left_out["deleted tiles"] = len(decided) - len(there)
    ids = np.array(sorted(there), np.int64)
    if len(ids) > _MOST_TRAINED:
        left_out["more labels than training uses"] = len(ids) - _MOST_TRAINED
        ids = np.sort(np.random.default_rng(0).choice(ids, _MOST_TRAINED, replace=False))
    classes = np.array([decided[one] for one in ids.tolist()], np.str_)
    _check_classes(collection, classes, contradictory)
    return TrainingSet(
        ids=ids,
        classes=classes,
        vectors=archive.vectors(ids.tolist()),
        groups=places(archive.footprints(ids.tolist())),
        left_out={reason: count for reason, count in left_out.items() if count},
        contradictory=tuple(sorted(contradictory)),
    )


def decided_classes(labels: Sequence[Label]) -> tuple[dict[int, str], list[int]]:
    """Return the majority class of each tile, and the tiles whose labels are tied."""
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for label in labels:
        if label.cls != SKIP:
            votes[label.tile][label.cls] += 1
    decided, contradictory = {}, []
    for tile, counts in votes.items():
        (first, most), *others = counts.most_common(2)
        if others and others[0][1] == most:
            contradictory.append(tile)
        else:
            decided[tile] = first
    return decided, contradictory


def sample_vectors(archive: Archive, most: int = SAMPLE) -> NDArray[np.float32]:
    """Return the vectors of randomly drawn tiles, the same in every run, shape (n, dim)."""

    def answer(view: Any) -> NDArray[np.float32]:
        ids = view.select(Filter()).ids
        if len(ids) > most:
            ids = np.sort(np.random.default_rng(0).choice(ids, most, replace=False))
        found: NDArray[np.float32] = view.vectors(ids.tolist())
        return found

    return archive.read(answer)


def share_of_archive(logits: Floats, share: float, trained: TrainedHead, *, least: float) -> tuple[float, float]:
    """Return the shift that adapts logits to the archive, and the estimated fraction of the archive with the class.

    Labels are not a random sample: half of them may show what is on 1% of the tiles. Probabilities are shifted to the
    class fraction that agrees with the archive's mean probability (Saerens, Latinne and Decaestecker 2002), with a
    prior towards a small fraction.

    Args:
        logits: Logits of randomly drawn tiles, shape (n,).
        share: Fraction of positive labels.
        trained: The head. Unless calibrated, it was trained with equal weight for positives and negatives.
        least: Fraction of the archive labelled with the class.
    """
    before = share if trained.calibrated else 0.5
    before = min(max(before, _LEAST_SHARE), 1 - _LEAST_SHARE)
    odds = np.exp(np.clip(logits, -50, 50))
    now = before
    for _ in range(_ROUNDS):
        ratio = now / (1 - now) * (1 - before) / before
        mean = float(np.mean(odds * ratio / (1 + odds * ratio)))
        now = (mean + _PRIOR_WEIGHT * _PRIOR_SHARE) / (1 + _PRIOR_WEIGHT)
        now = min(max(now, least, _LEAST_SHARE), 1 - _LEAST_SHARE)
    shift = float(np.log(now / (1 - now)) - np.log(before / (1 - before)))
    return shift, float(sigmoid(logits + shift).mean())


def _check_classes(collection: LabelCollection, classes: NDArray[np.str_], contradictory: Sequence[int]) -> None:
    name = collection.name
    found = [cls for cls in collection.classes if (classes == cls).any()]
    if not found:
        looked_for = ", ".join(collection.classes)
        doubt = f"; {len(contradictory)} tiles have tied labels" if contradictory else ""
        raise TooFewLabelsError(
            f"labels {name}: no tiles are labelled {looked_for}{doubt}; label some: bandsight label add {name} "
            f"--class {collection.classes[0]} TILE…"
        )
    if len(found) == 1 and not (classes != found[0]).any():
        raise TooFewLabelsError(
            f"labels {name}: all {len(classes)} are {found[0]}; a classifier also needs tiles that are not: bandsight "
            f"label add {name} --class {NONE} TILE… (bandsight label propose {name} lists likely ones)"
        )


def _mistakes(cls: str, chosen: TrainingSet, positive: NDArray[np.bool_], trained: TrainedHead) -> list[dict[str, Any]]:
    """Return labels that contradict heads trained on other places."""
    if trained.probabilities is None:
        return []
    agreement = np.where(positive, trained.probabilities, 1 - trained.probabilities)
    return [
        {
            "tile": int(chosen.ids[at]),
            "label": str(chosen.classes[at]),
            "class": cls,
            "probability": round(float(agreement[at]), 3),
        }
        for at in np.flatnonzero(agreement < _UNLIKELY).tolist()
    ]


def _warnings(collection: LabelCollection, chosen: TrainingSet, report: Mapping[str, Any]) -> list[str]:
    made = []
    for cls in collection.classes:
        if cls not in report:
            made.append(f"{cls}: no labels; the classifier does not know this class")
            continue
        figures = report[cls]
        seen = figures["places"]
        if "average_precision" not in figures:
            made.append(
                f"{cls}: labels in {seen['with']} places with it and {seen['without']} without; with {MIN_PLACES} of "
                "each, there are figures and calibrated probabilities"
            )
            continue
        low = (figures["average_precision"]["interval"] or (0.0, 1.0))[0]
        if low <= figures["labels"] / len(chosen.ids):
            made.append(
                f"{cls}: in other places, it ranks no better than chance; there are too few labels, they contradict "
                "each other, or the model cannot tell them apart"
            )
    if chosen.contradictory:
        made.append(
            f"{len(chosen.contradictory)} tiles are left out because their labels disagree evenly: "
            f"{', '.join(map(str, chosen.contradictory[:10]))}"
        )
    made += _look_alikes(chosen)
    return made


def _look_alikes(chosen: TrainingSet) -> list[str]:
    """Return a warning about tiles that look the same but have different classes."""
    near = chosen.vectors @ chosen.vectors.T > _SAME
    first, second = np.nonzero(np.triu(near & (chosen.classes[:, None] != chosen.classes), 1))
    if not len(first):
        return []
    pairs = [f"{chosen.ids[a]} and {chosen.ids[b]}" for a, b in zip(first[:5], second[:5], strict=True)]
    counted = "1 pair" if len(first) == 1 else f"{len(first)} pairs"
    return [f"{counted} of similar tiles with different classes: {', '.join(pairs)}"]
