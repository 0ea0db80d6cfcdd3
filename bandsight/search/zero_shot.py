"""Zero-shot classification of tiles by a list of labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.archive.scene_imagery import imagery_of
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import Imagery, sentence_vectors
from bandsight.search.examples import check_text
from bandsight.search.prompt_templates import class_sentences

MAX_LABELS = 100
# Maximum number of sentences over all labels.
_MAX_SENTENCES = 1000


def check_labels(labels: Sequence[str] | Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Return the sentences of each label: those given, or the templates.

    Raises:
        QueryError: There are fewer than two or too many labels, a repeated one, or an invalid sentence.
    """
    names = [check_text(label) for label in labels]
    if len(names) < 2 or len(names) > MAX_LABELS or len(set(names)) != len(names):  # noqa: PLR2004
        raise QueryError(f"labels: found {names[:5]}; need 2 to {MAX_LABELS} different ones, e.g. 'forest,lake'")
    if not isinstance(labels, Mapping):
        return {name: class_sentences(name) for name in names}
    given = [[one] if isinstance(one, str) else one for one in labels.values()]
    if not all(given) or sum(map(len, given)) > _MAX_SENTENCES:
        raise QueryError(
            f"labels: {sum(map(len, given))} sentences; need at least one per label and at most {_MAX_SENTENCES} in "
            "total"
        )
    return {name: [check_text(text) for text in texts] for name, texts in zip(names, given, strict=True)}


def label_vectors(encoder: Encoder, sentences: Mapping[str, Sequence[str]]) -> NDArray[np.float32]:
    """Return a unit vector for each label, the mean of its sentences, shape (labels, dim)."""
    rows = sentence_vectors(encoder, [text for texts in sentences.values() for text in texts])
    ends = np.cumsum([len(texts) for texts in sentences.values()])
    means = np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def classify_tiles(
    archive: Archive, encoder: Encoder, sentences: Mapping[str, Sequence[str]], where: Filter
) -> list[dict[str, Any]]:
    """Return a row for each tile that passes a filter; see `classified`."""
    vectors = label_vectors(encoder, sentences)
    return classified(archive, encoder, list(sentences), vectors, archive.tile_ids(where).tolist())


def classified(
    archive: Archive, encoder: Encoder, labels: Sequence[str], vectors: NDArray[np.float32], ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return a row per tile: id, scene, best label, ranked labels and their probabilities.

    Imagery without calibration gets a reason instead of probabilities.

    Args:
        archive: The archive.
        encoder: Its calibration turns cosines into probabilities.
        labels: Names of the classes.
        vectors: Vectors of the classes, shape (labels, dim).
        ids: Ids of the tiles; missing ones are omitted.
    """
    tiles = archive.tiles_by_id(ids)
    scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
    there = [(tile, scenes[tile.scene_id]) for tile in map(tiles.get, ids) if tile and tile.scene_id in scenes]
    if not there:
        return []
    rows = archive.vectors([tile.id for tile, _ in there])
    kinds = [imagery_of(scene, tile.scale) for tile, scene in there]
    scores = rows @ vectors.T
    probabilities = encoder.probabilities.of(scores, vectors, kinds)
    reasons = {one: _reason(encoder, one, vectors) for one in set(kinds)}
    order = np.argsort(-scores, axis=1, kind="stable").tolist()
    return [
        {
            "tile_id": tile.id,
            "scene": scene.name,
            "label": labels[order[row][0]],
            "score": round(float(scores[row].max()), 4),
            "probabilities": rounded(labels, probabilities[row]),
            "probability_reason": reasons[kinds[row]],
            "ranked": [labels[at] for at in order[row]],
        }
        for row, (tile, scene) in enumerate(there)
    ]


def _reason(encoder: Encoder, imagery: Imagery, texts: NDArray[np.float32]) -> str | None:
    """Return why some label has no probability for imagery, or None if all have one."""
    reasons = (encoder.probabilities.reason(imagery, text) for text in texts)
    return next((reason for reason in reasons if reason is not None), None)


def rounded(labels: Sequence[str], probabilities: NDArray[np.float32]) -> dict[str, float | None]:
    """Return the rounded probability of each label, or None."""
    return {label: number_or_none(p, 4) for label, p in zip(labels, probabilities, strict=True)}


def number_or_none(value: np.float32, places: int) -> float | None:
    """Return a rounded number, or None for NaN."""
    return round(float(value), places) if np.isfinite(value) else None


def summary(rows: list[dict[str, Any]], labels: Sequence[str]) -> str:
    """Return the number of tiles and the most confident tiles of each label as text."""
    counts = Counter(row["label"] for row in rows)
    lines = [f"{len(rows)} tiles"]
    for label in labels:
        best = sorted((r for r in rows if r["label"] == label), key=lambda r: (-_sure(r, label), -r["score"]))[:5]
        sure = ", ".join(f"{row['tile_id']} ({_shown(row['probabilities'][label])})" for row in best)
        lines.append(f"{label}: {counts[label]}" + (f"; most confident: {sure}" if sure else ""))
    return "\n".join(lines)


def _sure(row: dict[str, Any], label: str) -> float:
    probability: float | None = row["probabilities"][label]
    return -1.0 if probability is None else probability


def _shown(probability: float | None) -> str:
    return "no probability" if probability is None else f"{probability:.2f}"
