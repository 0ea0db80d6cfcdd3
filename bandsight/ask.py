"""The three ways to ask an archive: by sentence, by picture, by one of its own tiles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.catalog.records import Hit
from bandsight.filters import Filter
from bandsight.model.protocol import Encoder
from bandsight.query_text import check_text


@dataclass(frozen=True, slots=True)
class Answer:
    """Ranked hits."""

    hits: list[Hit]
    """Best first."""
    probabilities: list[float | None]
    """That the hit shows what the sentence says; None where the query was no sentence."""


def by_text(archive: Archive, encoder: Encoder, text: str, k: int, wanted: Filter) -> Answer:
    """Rank tiles by a sentence.

    Raises:
        QueryError: The sentence is empty or too long.
    """
    vector = encoder.embed_texts([check_text(text)])
    hits = archive.search(vector, k, wanted)[0]
    if not hits:
        return Answer([], [])
    values = encoder.probabilities(archive.vectors([hit.tile.id for hit in hits]), vector)
    return Answer(hits, [float(value) for value in values[:, 0]])


def by_image(
    archive: Archive, encoder: Encoder, pixels: NDArray[np.uint8], wavelengths: Sequence[float], k: int, wanted: Filter
) -> Answer:
    """Rank tiles by a picture, uint8 (C, H, W), with one wavelength in µm for each band."""
    hits = archive.search(encoder.embed_pixels(pixels[None], wavelengths), k, wanted)[0]
    return Answer(hits, [None] * len(hits))


def by_tile(archive: Archive, tile_id: int, k: int, wanted: Filter) -> Answer:
    """Rank tiles by their likeness to one of the archive, which is left out itself; needs no model.

    Raises:
        NotFoundError: There is no such tile.
    """
    hits = archive.search(archive.vectors([tile_id]), k, replace(wanted, exclude=(*wanted.exclude, tile_id)))[0]
    return Answer(hits, [None] * len(hits))
