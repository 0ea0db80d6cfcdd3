"""The search index: FAISS's inverted lists over quantised vectors, as wide as measured recall asks."""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
_LEAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How far a search looks so that it reaches the target."""

    share: float
    """For filters that let at least this share of the rows pass, 0..1."""
    nprobe: int
    """Lists visited."""
    rescore: int
    """Candidates rescored on raw vectors for each hit wanted."""


@dataclass(frozen=True, slots=True)
class IvfIndex:
    """A trained index and what it covers."""

    faiss_index: Any
    up_to: int
    """It holds every tile up to this id that lived when it was built; ids are never used twice."""
    widths: tuple[Width, ...]
    """Ascending by share; below the first share, no width reaches the target."""
    figures: dict[str, Any]
    """Kind, size and measured recall."""

    def width(self, share: float) -> Width | None:
        """Return how far to look when a share of the rows passes; None when only an exact scan will do."""
        fitting = [width for width in self.widths if width.share <= share]
        return fitting[-1] if fitting else None

    def candidates(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.int64], width: Width
    ) -> NDArray[np.int64]:
        """Return likely neighbours among the allowed ids, best first, padded with -1, shape (queries, some).

        Args:
            queries: Unit vectors, shape (q, dim).
            k: Hits wanted.
            allowed: Ids that count, ascending.
            width: How far to look.
        """
        ivf = _faiss.extract_index_ivf(self.faiss_index)
        own, params = _parameters(self.faiss_index)
        own.nprobe = min(width.nprobe, ivf.nlist)
        if len(allowed) < self.faiss_index.ntotal:
            # Held by a name for as long as FAISS reads it.
            bits = bitmap(allowed, self.up_to)
            own.sel = _faiss.IDSelectorBitmap(bits)
        # Measured for ten hits and more; fewer look as far as ten.
        fetch = min(width.rescore * max(k, _LEAST), max(len(allowed), 1))
        _, ids = self.faiss_index.search(queries, fetch, params=params)
        return np.asarray(ids, np.int64)


def _parameters(index: Any) -> tuple[Any, Any]:
    """Return the parameters of the inverted lists, and those that a search takes.

    Both are to be kept until the search is done: FAISS's wrapper holds the one in the other by address only.
    """
    if isinstance(index, _faiss.IndexPreTransform):
        own, params = _faiss.IVFRaBitQSearchParameters(), _faiss.SearchParametersPreTransform()
        params.index_params = own
        return own, params
    own = _faiss.SearchParametersIVF()
    return own, own


def bitmap(ids: NDArray[np.int64], up_to: int) -> NDArray[np.uint8]:
    """Return ids as a set of bits, as FAISS's selector reads it."""
    mask = np.zeros(up_to + 1, bool)
    mask[ids] = True
    return np.packbits(mask, bitorder="little")
