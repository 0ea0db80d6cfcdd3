"""Which cosine a probability stands for, for each kind of imagery."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.model.protocol import Encoder

# Halving -1..1 so often leaves less than float32 can tell.
_HALVINGS = 30
_ONE: NDArray[np.float32] = np.ones((1, 1), np.float32)

Bands = tuple[float, ...]


def least_cosine(encoder: Encoder, wavelengths: Sequence[float], probability: float) -> float:
    """Return the least cosine whose probability is at least this, infinity where none reaches it.

    A probability grows with the cosine and depends on nothing else but the bands, so vectors of one number that are
    cosines themselves tell it, whatever the model.
    """

    def of(cosine: float) -> float:
        return float(encoder.probabilities(np.full((1, 1), cosine, np.float32), _ONE, [wavelengths])[0, 0])

    low, high = -1.0, 1.0
    if of(low) >= probability:
        return -np.inf
    if of(high) < probability:
        return np.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if of(middle) >= probability else (middle, high)
    return high


class SceneBands:
    """Remembers the bands of each scene; scenes never change."""

    def __init__(self) -> None:
        self._of: dict[int, Bands] = {}

    def of(self, archive: Archive, scene_ids: Sequence[int]) -> list[Bands]:
        """Return the wavelengths of scenes, µm; none for one that is gone."""
        if missing := [one for one in scene_ids if one not in self._of]:
            self._of |= {one: scene.wavelengths_um for one, scene in archive.scenes_by_id(missing).items()}
        return [self._of.get(one, ()) for one in scene_ids]
