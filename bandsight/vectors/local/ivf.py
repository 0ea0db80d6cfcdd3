"""The search index: FAISS's inverted lists over short codes, as wide as measured recall asks."""

from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """How far a search looks so that it reaches the target."""

    share: float
    """For filters that let at least this share of the rows pass, 0..1."""
    k: int
    """For up to so many hits."""
    nprobe: int
    """Lists visited."""
    fetch: int
    """Candidates rescored on raw vectors."""
    query_ms: float = 0.0
    """Processor time of one query, as it was measured."""

    def of(self, k: int) -> "SearchParams":
        """Return how far to look for k hits: for more than was measured, in proportion."""
        if k <= self.k:
            return self
        times = k / self.k
        return SearchParams(
            share=self.share,
            k=k,
            nprobe=int(self.nprobe * times),
            fetch=int(self.fetch * times),
            query_ms=self.query_ms * times,
        )


@dataclass(frozen=True, slots=True)
class IvfIndex:
    """A trained index and what it covers.

    Lists are visited in the order of the best score that one may hold: its centre's score, and the more beyond it the
    wider and fuller the list is. Sentences lie off the images' distribution, where many centres score nearly alike and
    spread decides; by centres alone, they need to visit two to three times as many rows.
    """

    faiss_index: Any
    """A linear map to fewer dimensions, then inverted lists."""
    first_id: int
    """Of the tiles that it may hold. FAISS keeps how far ids lie beyond it, so that masks are as short as can be."""
    up_to: int
    """It holds every tile up to this id that lived when it was built; ids are never used twice."""
    reach: NDArray[np.float32]
    """How far the best of a list lies beyond its centre, in units of `slope`, shape (lists,)."""
    slope: float
    """How much that counts; measured."""
    widths: tuple[SearchParams, ...]
    """Ascending by share, then by k; below the first share, no width reaches the target."""
    figures: dict[str, Any]
    """Kind, size and measured recall."""
    scan_us: float = 0.0
    """Processor time of the exact scan for one row that passes a filter, as it was measured."""
    kept: Any = None
    """What its lists lie in, if that is not its own memory."""
    _projection: NDArray[np.float32] = field(init=False, repr=False)
    _centres: NDArray[np.float32] = field(init=False, repr=False)
    ivf: Any = field(init=False, repr=False)
    """The inverted lists' side of it."""

    def __post_init__(self) -> None:
        linear = _faiss.downcast_VectorTransform(self.faiss_index.chain.at(0))
        projection = _faiss.vector_to_array(linear.A).reshape(linear.d_out, linear.d_in)
        ivf = _faiss.downcast_index(self.faiss_index.index)
        centres = _faiss.downcast_index(ivf.quantizer)
        values = _faiss.rev_swig_ptr(centres.get_xb(), centres.ntotal * centres.d)
        object.__setattr__(self, "_projection", projection)
        object.__setattr__(self, "_centres", values.reshape(centres.ntotal, centres.d))
        object.__setattr__(self, "ivf", ivf)

    @property
    def span(self) -> int:
        """How many ids there are that it may hold: the length of masks over them."""
        return self.up_to + 1 - self.first_id

    @property
    def lists(self) -> int:
        """How many lists there are."""
        return int(self.ivf.nlist)

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return int(self.faiss_index.ntotal)

    def width(self, share: float, k: int) -> SearchParams | None:
        """Return how far to look for k hits when a share of the rows passes; None when only an exact scan will do."""
        fitting = [width for width in self.widths if width.share <= share]
        if not fitting:
            return None
        nearest = [width for width in fitting if width.share == fitting[-1].share]
        return next((width for width in nearest if width.k >= k), nearest[-1]).of(k)

    def candidates(
        self, queries: NDArray[np.float32], width: SearchParams, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return likely neighbours, best first, padded with -1, and their codes' scores, both of shape (queries, some).

        Args:
            queries: Unit vectors, shape (q, dim).
            width: How far to look.
            allowed: Which tiles count, by id from `first_id` on, shape (span,); all that it holds when None.
        """
        short = np.ascontiguousarray(queries @ self._projection.T)
        scores = short @ self._centres.T
        lists = self._order(queries, scores, min(width.nprobe, self.lists))
        params = _faiss.SearchParametersIVF(nprobe=lists.shape[1])
        if allowed is not None:
            # Held by a name for as long as FAISS reads it.
            bits = np.packbits(allowed, bitorder="little")
            selector = _faiss.IDSelectorBitmap(bits)
            params.sel = selector
        lists = np.ascontiguousarray(lists, np.int64)
        near = np.ascontiguousarray(np.take_along_axis(scores, lists, 1), np.float32)
        count = min(width.fetch, self.rows)
        found, ids = np.empty((len(queries), count), np.float32), np.empty((len(queries), count), np.int64)
        # The wrapper of the same name takes no parameters.
        pointer = _faiss.swig_ptr
        self.ivf.search_preassigned_c(
            len(queries),
            pointer(short),
            count,
            pointer(lists),
            pointer(near),
            pointer(found),
            pointer(ids),
            False,
            params,
        )
        ids[ids >= 0] += self.first_id
        return ids, found

    def nearest_lists(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Return the lists that a search visits, in its order, shape (queries, count)."""
        scores = (queries @ self._projection.T) @ self._centres.T
        return self._order(queries, np.asarray(scores, np.float32), count)

    def _order(self, queries: NDArray[np.float32], scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        best = scores + self.slope * np.linalg.norm(queries, axis=1, keepdims=True) * self.reach
        if count < self.lists:
            first = np.argpartition(-best, count - 1, axis=1)[:, :count]
            return np.take_along_axis(first, np.argsort(-np.take_along_axis(best, first, 1), axis=1), 1)
        return np.argsort(-best, axis=1)

    def list_of(self) -> NDArray[np.int32]:
        """Return the list of each tile, by id from `first_id` on, -1 for those it does not hold, shape (span,)."""
        lists = self.ivf.invlists
        found = np.full(self.span, -1, np.int32)
        for number in range(self.lists):
            size = lists.list_size(number)
            if size:
                found[_faiss.rev_swig_ptr(lists.get_ids(number), size)] = number
        return found
