"""Zero-shot classes: every tile against a list of labels."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from bandsight.archive import Archive
from bandsight.errors import QueryError
from bandsight.filters import Filter
from bandsight.model.protocol import Encoder
from bandsight.prompts import class_sentences
from bandsight.query_text import check_text

_MAX_LABELS = 100


def check_labels(labels: Sequence[str]) -> list[str]:
    """Return the labels.

    Raises:
        QueryError: Fewer than two labels, too many, one twice, or one that is no text.
    """
    if len(labels) < 2 or len(labels) > _MAX_LABELS or len(set(labels)) != len(labels):  # noqa: PLR2004
        raise QueryError(
            f"labels: found {list(labels)[:5]}; need 2 to {_MAX_LABELS} different ones, e.g. 'forest,lake'"
        )
    return [check_text(label) for label in labels]


def classify_tiles(archive: Archive, encoder: Encoder, labels: Sequence[str], wanted: Filter) -> list[dict[str, Any]]:
    """Return a row per tile: its id, the best label, and each label's own probability.

    A label stands for the mean of several sentences about it.
    """
    means = np.stack([encoder.embed_texts(class_sentences(label)).mean(axis=0) for label in labels])
    vectors = np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
    hits = archive.search(vectors[:1], max(1, int(archive.stats()["tiles"])), wanted)[0]
    if not hits:
        return []
    hits.sort(key=lambda hit: hit.tile.id)
    image_vectors = archive.vectors([hit.tile.id for hit in hits])
    scores = image_vectors @ vectors.T
    probabilities = encoder.probabilities(image_vectors, vectors, [hit.scene.wavelengths_um for hit in hits])
    return [
        {
            "tile_id": hit.tile.id,
            "scene": hit.scene.name,
            "label": labels[int(np.argmax(scores[row]))],
            "probabilities": {label: round(float(p), 4) for label, p in zip(labels, probabilities[row], strict=True)},
        }
        for row, hit in enumerate(hits)
    ]


def summary(rows: list[dict[str, Any]], labels: Sequence[str]) -> str:
    """Return how many tiles fell to each label and the surest of each, as lines of text."""
    counts = Counter(row["label"] for row in rows)
    lines = [f"{len(rows)} tiles"]
    for label in labels:
        best = sorted((r for r in rows if r["label"] == label), key=lambda r: -r["probabilities"][label])[:5]
        sure = ", ".join(f"{row['tile_id']} ({row['probabilities'][label]:.2f})" for row in best)
        lines.append(f"{label}: {counts[label]}" + (f"; surest tiles: {sure}" if sure else ""))
    return "\n".join(lines)
