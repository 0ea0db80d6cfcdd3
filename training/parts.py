"""The parts of a training run, and what a step of each looks at: one run for each of the two trunks."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How imagery is shown until some share of the run is done."""

    until: float
    """Share of the epochs."""
    size: int
    """Side of a view, pixels; small views early cost a half and teach scale."""
    wide: bool
    """Imagery is as the world's sensors have it: air, bad stretches, thin clouds, far views."""
    area: float
    """Least share of an image in a view."""
    prompts: float
    """Share of sentences that name the class only."""
    mosaics: float
    """Share of views made of several images of a class, as from higher up."""
    other_bands: float
    """Share of views that are not shown as red, green, blue."""
    imitated: float
    """Share of views with imitated bands of other sensors."""
    crops: tuple[int, ...]
    """Crops of each scene in a step."""
    weather: float = 1.0
    """How often clouds and snow are painted, of the usual."""
    bank: tuple[int, int] = (448, 5)
    """Sentences that a step tells its images from: captions, and prompts of every kind."""


# The world's trunk learns the captions first, then the world, then captions again, in views as searches see them.
_WORLD = (
    Part(
        until=0.39, size=96, wide=False, area=0.15, prompts=0.3, mosaics=0.12, other_bands=0.18, imitated=0, crops=(16,)
    ),
    Part(
        until=0.72,
        size=112,
        wide=True,
        area=0.15,
        prompts=0.3,
        mosaics=0.2,
        other_bands=0.18,
        imitated=0.3,
        crops=(10, 10),
    ),
    Part(
        until=1, size=128, wide=True, area=0.4, prompts=0.12, mosaics=0.12, other_bands=0.12, imitated=0.2, crops=(8, 8)
    ),
)
# The captions' trunk sees clean views near to the images as they are, and is told apart by captions more than by names.
_CAPTIONS = (
    Part(
        until=0.36,
        size=96,
        wide=False,
        area=0.25,
        prompts=0.1,
        mosaics=0.06,
        other_bands=0.12,
        imitated=0,
        crops=(8,),
        weather=0.5,
        bank=(768, 1),
    ),
    Part(
        until=0.72,
        size=112,
        wide=False,
        area=0.35,
        prompts=0.08,
        mosaics=0.05,
        other_bands=0.1,
        imitated=0,
        crops=(8,),
        weather=0.5,
        bank=(896, 1),
    ),
    Part(
        until=1,
        size=128,
        wide=False,
        area=0.45,
        prompts=0.08,
        mosaics=0.05,
        other_bands=0.1,
        imitated=0,
        crops=(8,),
        weather=0.3,
        bank=(896, 1),
    ),
)
PARTS = {"world": _WORLD, "captions": _CAPTIONS}
EPOCHS = {"world": 18, "captions": 14}
"""Epochs of a run, unless it is told otherwise."""


def part_of(parts: Sequence[Part], epoch: int, epochs: int) -> Part:
    """Return the part that an epoch of a run lies in."""
    return next(part for part in parts if epoch < part.until * epochs)
