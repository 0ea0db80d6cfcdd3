"""A snapshot opened for searching: its segments and its index."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.matching import AttributeView
from bandsight.errors import NotFoundError
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.local.folder import LoadedSegment
from bandsight.vectors.local.gpu_scan import GpuRows
from bandsight.vectors.local.ivf import IvfIndex, Passing
from bandsight.vectors.local.segments import OpenSegment


@dataclass(frozen=True, slots=True)
class SegmentView:
    """An open segment in a snapshot."""

    part: LoadedSegment
    view: AttributeView


@dataclass(frozen=True, slots=True)
class StoreState:
    """Everything that a search needs; replaced as a whole."""

    shown: tuple[SegmentView, ...]
    scenes: SceneColumns
    index: IvfIndex | None
    stamp: tuple[int, int] | None
    """Stamp of the index's files."""
    firsts: NDArray[np.int64]
    """First tile id of each segment, ascending."""
    device: GpuRows | None
    """The rows on a GPU, if there is one with enough memory; then every search is exact."""
    prepared: list[Passing] = field(default_factory=list, init=False, compare=False, repr=False)
    """What the index passes where there is no filter, once a search has needed it."""


def cells_of(state: StoreState, ids: NDArray[np.int64]) -> list[tuple[NDArray[np.intp], CellCodes]]:
    """Return verified cells of tiles, grouped by the number of cells per tile, with positions of the tiles in `ids`.

    Raises:
        NotFoundError: No segment has one of the tiles.
        ArchiveError: The cells of a tile are damaged.
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
    """Yield, for each segment with some of the tiles, their positions in `ids`, its file, and their rows in it.

    Raises:
        NotFoundError: No segment has one of the tiles.
    """
    for chosen, number, rows in located_in(state, ids):
        yield chosen, state.shown[number].part.file, rows


def located_in(state: StoreState, ids: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], int, NDArray[np.int64]]]:
    """Yield, for each segment with some of the tiles, their positions in `ids`, its number, and their rows in it.

    Raises:
        NotFoundError: No segment has one of the tiles.
    """
    at = np.searchsorted(state.firsts, ids, "right") - 1
    for number in np.unique(at):
        chosen = np.flatnonzero(at == number)
        file = state.shown[number].part.file if number >= 0 else None
        rows = file.rows_of(ids[chosen]) if file else None
        if file is None or rows is None:
            raise NotFoundError(f"tile {ids[chosen].max()}: this archive has no such vector; ids come from a search")
        yield chosen, int(number), rows
