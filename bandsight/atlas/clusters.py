"""Clusters of the atlas, and their names by zero-shot labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import needs_extra
from bandsight.model.calibration import background_sentences
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors

Floats = NDArray[np.float32]

NO_CLUSTER = -1
"""The cluster of points between clusters."""
# Minimum number and share of a cluster's tiles in the sample.
_LEAST, _SHARE = 10, 0.01
_WORDS = 3
# Background sentences that are no kind of place.
_NO_PLACES = frozenset(
    {"cars", "people", "noise", "a satellite image", "an aerial photo", "a thermal image", "a radar image"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A group of neighbouring points on the atlas."""

    name: str
    """Description of what it shows, unique among the clusters."""
    words: tuple[str, ...]
    """The sentences that fit best, best first."""
    x: float
    """Middle of its points."""
    y: float
    """Middle of its points."""


def words_of_places() -> list[str]:
    """Return descriptions of common kinds of places, the default names of clusters."""
    return [one for one in background_sentences() if one not in _NO_PLACES]


def cluster(points: Floats) -> NDArray[np.int16]:
    """Return the cluster of each point, or `NO_CLUSTER`; clusters are numbered by size, largest first.

    Args:
        points: Positions of the sample, shape (n, 2).

    Raises:
        BandsightError: scikit-learn is not installed.
    """
    least = max(_LEAST, round(_SHARE * len(points)))
    if len(points) < 2 * least:
        return np.full(len(points), NO_CLUSTER, np.int16)
    with needs_extra("atlas", "finding clusters of the atlas"):
        from sklearn.cluster import HDBSCAN
    found = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points)
    sizes = np.bincount(found[found >= 0])
    rank = np.empty(len(sizes) + 1, np.int16)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    rank[-1] = NO_CLUSTER
    return np.asarray(rank[found], np.int16)


def name(
    encoder: Encoder, vectors: Floats, points: Floats, of: NDArray[np.int16], words: Sequence[str]
) -> list[Cluster]:
    """Return the clusters with names, in the order of their numbers.

    A sentence fits a cluster if the mean score of its tiles is high, and higher than in other clusters: a sentence that
    fits everything is no name.

    Args:
        encoder: Encodes the words.
        vectors: Unit vectors of the sample, shape (n, dim).
        points: Positions of the sample, shape (n, 2).
        of: Cluster of each tile, shape (n,).
        words: Sentences, at least one.
    """
    numbers = range(int(of.max(initial=NO_CLUSTER)) + 1)
    if not numbers:
        return []
    means = np.stack([vectors[of == number].mean(axis=0) for number in numbers])
    scores = means @ sentence_vectors(encoder, list(words)).T
    fit = scores + (scores - scores.mean(axis=0))
    made: list[Cluster] = []
    taken: set[str] = set()
    for number in numbers:
        best = [words[at] for at in np.argsort(-fit[number], kind="stable")[:_WORDS].tolist()]
        title = _free(best, taken)
        taken.add(title)
        x, y = np.median(points[of == number], axis=0).tolist()
        made.append(Cluster(name=title, words=tuple(best), x=round(x, 4), y=round(y, 4)))
    return made


def _free(words: Sequence[str], taken: set[str]) -> str:
    """Return a unique name, with as few of the best sentences as possible."""
    for count in range(1, len(words) + 1):
        if (title := ", ".join(words[:count])) not in taken:
            return title
    return next(title for number in range(2, 2**15) if (title := f"{words[0]} {number}") not in taken)
