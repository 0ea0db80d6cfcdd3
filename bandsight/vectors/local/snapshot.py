"""What one search needs: a snapshot's segments opened, the index, and which rows count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.matching import AttributeView, Mask
from bandsight.errors import NotFoundError
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.local.folder import LoadedSegment
from bandsight.vectors.local.gpu_scan import GpuRows
from bandsight.vectors.local.ivf import IvfIndex
from bandsight.vectors.local.segments import OpenSegment


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One open segment as a snapshot shows it."""

    part: LoadedSegment
    view: AttributeView


@dataclass(frozen=True, slots=True)
class StoreState:
    """All that one search needs; replaced as a whole."""

    shown: tuple[SegmentView, ...]
    scenes: SceneColumns
    index: IvfIndex | None
    stamp: tuple[int, int] | None
    """Of the index's files."""
    firsts: NDArray[np.int64]
    """First tile id of each segment, ascending."""
    device: GpuRows | None
    """The rows on a GPU, where there is one that they fit into; then every search is exact."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Which rows of each segment count."""

    masks: list[Mask]
    counts: list[int]
    """How many rows of each segment count."""

    @classmethod
    def of(cls, masks: list[Mask]) -> "Masks":
        """Count the rows of masks."""
        return cls(masks, [int(np.count_nonzero(mask)) for mask in masks])

    @property
    def survivors(self) -> int:
        """How many rows count."""
        return sum(self.counts)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return sum(len(mask) for mask in self.masks)

    def split(self, parts: Sequence[LoadedSegment], first_id: int, up_to: int) -> "tuple[Masks, Masks]":
        """Return the rows from one tile id up to another, and those outside; a mask without any is of no length."""
        if not parts or (parts[0].file.first_id >= first_id and parts[-1].file.last_id <= up_to):
            return self, Masks([], [])
        inside, outside = [], []
        for part, mask in zip(parts, self.masks, strict=True):
            if first_id <= part.file.first_id and part.file.last_id <= up_to:
                within, without = mask, mask[:0]
            elif part.file.last_id < first_id or part.file.first_id > up_to:
                within, without = mask[:0], mask
            else:
                within = mask & (part.columns.ids >= first_id) & (part.columns.ids <= up_to)
                without = mask & ~within
            inside.append(within)
            outside.append(without)
        return Masks.of(inside), Masks.of(outside)


def cells_of(state: StoreState, ids: NDArray[np.int64]) -> list[tuple[NDArray[np.intp], CellCodes]]:
    """Return where those tiles that have as many cells stand in `ids`, and their cells, compared with their checks.

    Raises:
        NotFoundError: No segment has one of them.
        ArchiveError: The cells of one are damaged.
    """
    found: dict[tuple[int, ...], list[tuple[NDArray[np.intp], CellCodes]]] = {}
    for chosen, number, rows in located_in(state, ids):
        part = state.shown[number].part
        if part.cells_problem is not None:
            raise part.cells_problem
        if part.cells is not None:
            found.setdefault(part.cells_shape, []).append((chosen, part.cells.sound(rows)))
    return [
        (np.concatenate([chosen for chosen, _ in parts]), CellCodes.join([codes for _, codes in parts]))
        for parts in found.values()
    ]


def located(
    state: StoreState, ids: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.intp], OpenSegment, NDArray[np.int64]]]:
    """Yield, for each segment that has some of the tiles, where these stand in `ids`, its file and their rows in it.

    Raises:
        NotFoundError: No segment has one of them.
    """
    for chosen, number, rows in located_in(state, ids):
        yield chosen, state.shown[number].part.file, rows


def located_in(state: StoreState, ids: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], int, NDArray[np.int64]]]:
    """Yield, for each segment that has some of the tiles, where these stand in `ids`, its number and their rows in it.

    Raises:
        NotFoundError: No segment has one of them.
    """
    at = np.searchsorted(state.firsts, ids, "right") - 1
    for number in np.unique(at):
        chosen = np.flatnonzero(at == number)
        file = state.shown[number].part.file if number >= 0 else None
        rows = file.rows_of(ids[chosen]) if file else None
        if file is None or rows is None:
            raise NotFoundError(f"tile {ids[chosen].max()}: this archive has no such vector; ids come from a search")
        yield chosen, int(number), rows
