"""The three ways to ask an archive: by sentence, by picture, by one of its own tiles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.model.protocol import Encoder
from bandsight.search.engine import nearest
from bandsight.search.query_text import check_text


@dataclass(frozen=True, slots=True)
class Answer:
    """Ranked hits."""

    hits: list[Hit]
    """Best first."""
    probabilities: list[float | None]
    """That the hit shows what the sentence says; None where the query was no sentence."""
    matches: list[bool | None]
    """Whether the probability reaches the model's level of a match for this imagery; None where it has none."""

    @property
    def nothing_matches(self) -> bool:
        """True when the level is known and no hit reaches it: the archive may hold nothing of the kind."""
        return bool(self.matches) and not any(match is not False for match in self.matches)


def by_text(archive: Archive, encoder: Encoder, text: str, k: int, wanted: Filter) -> Answer:
    """Rank tiles by a sentence.

    Raises:
        QueryError: The sentence is empty or too long.
    """
    vector = encoder.embed_texts([check_text(text)])
    hits = nearest(archive, vector, k, wanted)[0]
    if not hits:
        return Answer([], [], [])
    return calibrated_by_score(encoder, hits)


def calibrated_by_score(encoder: Encoder, hits: list[Hit]) -> Answer:
    """Say of the hits of one sentence, whose scores are cosines to it, how likely each shows it; see `judged`."""
    cosines = np.array([[hit.score] for hit in hits], np.float32)
    return calibrated(encoder, hits, cosines, np.ones((1, 1), np.float32))


def calibrated(encoder: Encoder, hits: list[Hit], vectors: NDArray[np.float32], texts: NDArray[np.float32]) -> Answer:
    """Say of hits how likely each shows what the likeliest of some sentences says, and whether that is a match.

    Args:
        encoder: Knows what a cosine is worth.
        hits: At least one.
        vectors: Theirs, shape (hits, D).
        texts: The sentences', shape (sentences, D).
    """
    bands = [hit.scene.wavelengths_um for hit in hits]
    values = encoder.probabilities(vectors, texts, bands).max(axis=1)
    levels = {waves: encoder.threshold(waves) for waves in set(bands)}
    least = [levels[waves] for waves in bands]
    matches = [None if level is None else bool(value >= level) for value, level in zip(values, least, strict=True)]
    return Answer(hits, [float(value) for value in values], matches)


def by_image(
    archive: Archive, encoder: Encoder, pixels: NDArray[np.uint8], wavelengths: Sequence[float], k: int, wanted: Filter
) -> Answer:
    """Rank tiles by a picture, uint8 (C, H, W), with one wavelength in µm for each band."""
    hits = nearest(archive, encoder.embed_pixels(pixels[None], wavelengths), k, wanted)[0]
    return Answer(hits, [None] * len(hits), [None] * len(hits))


def by_tile(archive: Archive, tile_id: int, k: int, wanted: Filter) -> Answer:
    """Rank tiles by their likeness to one of the archive, which is left out itself; needs no model.

    Raises:
        NotFoundError: There is no such tile.
    """
    hits = nearest(archive, archive.vectors([tile_id]), k, replace(wanted, exclude=(*wanted.exclude, tile_id)))[0]
    return Answer(hits, [None] * len(hits), [None] * len(hits))
