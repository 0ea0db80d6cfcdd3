"""The search index: FAISS's inverted lists of short codes, searched as widely as the target recall requires."""

from dataclasses import dataclass, field, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.vectors.local.apart import Apart
from bandsight.vectors.local.stopping import Outlook

# Its type hints lack the constructors that the Python wrapper adds.
_faiss: Any = faiss
# Until it is measured: what a visit takes for one number of a row.
_VISIT_US_A_DIM = 7e-5
# Minimum number of rows sampled per list, to estimate how many pass a filter.
_SAMPLED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """Search width that reaches the target recall."""

    share: float
    """Valid for filters that pass at least this share of the rows, 0..1."""
    k: int
    """Maximum number of hits it is valid for."""
    tolerance: float
    """A search ends when the unvisited lists are expected to have at most this share of its hits."""
    query_ms: float = 0.0
    """Measured processor time of one query, ms."""

    def of(self, k: int) -> "SearchParams":
        """Return the width for k hits; for larger k than measured, the time grows in proportion."""
        return self if k <= self.k else replace(self, k=k, query_ms=self.query_ms * k / self.k)


@dataclass(frozen=True, slots=True)
class Passing:
    """The selected tiles of a search."""

    bits: NDArray[np.uint8]
    """One bit per tile, by id, starting at the index's `first_id`."""
    per_list: NDArray[np.float32]
    """Approximate number of selected tiles in each list, shape (lists,)."""


@dataclass(frozen=True, slots=True)
class IvfIndex:
    """A trained index, and the tiles that it covers.

    The width of a search is determined for each query (`ivf_search`, `stopping`).
    """

    faiss_index: Any
    """A projection to fewer dimensions, and inverted lists."""
    first_id: int
    """First id of the tiles that it may contain. FAISS stores ids relative to it, so that masks are short."""
    up_to: int
    """It contains every tile up to this id that existed when it was built; ids are never reused."""
    spread: NDArray[np.float32]
    """Root mean square distance of each list's rows from its centre along one direction, shape (lists,)."""
    widths: tuple[SearchParams, ...]
    """Ascending by share, then by k; below the first share, no width reaches the target."""
    figures: dict[str, Any]
    """Kind, size and measured recall."""
    scan_us: float = 0.0
    """Measured processor time of the exact scan per row that passes a filter, µs."""
    scan_all_us: float | None = None
    """The same where all rows pass, of which none has to be skipped; None where it has not been measured."""
    visit_us: float | None = None
    """Processor time of a visit for one row of its lists, whether it passes or not; None where it has not been
    measured."""
    apart: Apart | None = None
    """Outliers, which every search scores by their raw vectors; None for none."""
    kept: Any = None
    """Memory of its lists, if it is not their own."""
    _projection: NDArray[np.float32] = field(init=False, repr=False)
    _centres: NDArray[np.float32] = field(init=False, repr=False)
    ivf: Any = field(init=False, repr=False)
    """FAISS's object for the inverted lists."""
    sizes: NDArray[np.int64] = field(init=False, repr=False)
    """Number of rows of each list, shape (lists,)."""
    _sampled: NDArray[np.int64] = field(init=False, repr=False)
    """Sampled ids of each list, list by list, relative to `first_id`."""
    _sampled_of: NDArray[np.int64] = field(init=False, repr=False)
    """Number of sampled ids of each list, shape (lists,)."""

    def __post_init__(self) -> None:
        linear = _faiss.downcast_VectorTransform(self.faiss_index.chain.at(0))
        projection = _faiss.vector_to_array(linear.A).reshape(linear.d_out, linear.d_in)
        ivf = _faiss.downcast_index(self.faiss_index.index)
        centres = _faiss.downcast_index(ivf.quantizer)
        values = _faiss.rev_swig_ptr(centres.get_xb(), centres.ntotal * centres.d)
        object.__setattr__(self, "_projection", projection)
        object.__setattr__(self, "_centres", values.reshape(centres.ntotal, centres.d))
        object.__setattr__(self, "ivf", ivf)
        sizes = np.array([ivf.invlists.list_size(number) for number in range(self.lists)], np.int64)
        object.__setattr__(self, "sizes", sizes)
        some = [self._ids_of(number)[:: max(1, size // _SAMPLED)] for number, size in enumerate(sizes.tolist()) if size]
        object.__setattr__(self, "_sampled", np.concatenate([np.empty(0, np.int64), *some]))
        sampled_of = np.zeros(self.lists, np.int64)
        sampled_of[sizes > 0] = [len(ids) for ids in some]
        object.__setattr__(self, "_sampled_of", sampled_of)

    @property
    def span(self) -> int:
        """Number of ids that it may contain, which is the length of masks."""
        return self.up_to + 1 - self.first_id

    @property
    def lists(self) -> int:
        """Number of lists."""
        return int(self.ivf.nlist)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.faiss_index.ntotal)

    def width(self, share: float, k: int) -> SearchParams | None:
        """Return the width for k hits if a share of the rows passes; None if only an exact scan reaches the target."""
        fitting = [width for width in self.widths if width.share <= share]
        if not fitting:
            return None
        nearest = [width for width in fitting if width.share == fitting[-1].share]
        return next((width for width in nearest if width.k >= k), nearest[-1]).of(k)

    def scan_ms(self, survivors: int, total: int) -> float:
        """Return the measured processor time of an exact scan of a number of rows, ms."""
        row_us = self.scan_us if self.scan_all_us is None or survivors < total else self.scan_all_us
        return survivors * row_us / 1000

    def visit_ms(self, lists: NDArray[np.int64]) -> float:
        """Return the processor time of a visit to lists."""
        row_us = _VISIT_US_A_DIM * self.ivf.d if self.visit_us is None else self.visit_us
        return float(self.sizes[lists].sum()) * row_us / 1000

    def passing(self, allowed: NDArray[np.bool_]) -> Passing:
        """Prepare a selection of tiles for any number of searches.

        The number of selected tiles in each list is estimated from sampled ids; a list without selected samples may
        still contain selected tiles.

        Args:
            allowed: Selected tiles by id, starting at `first_id`, shape (span,).
        """
        ends = np.concatenate([[0], np.cumsum(self._sampled_of)])
        passed = np.concatenate([[0], np.cumsum(allowed[self._sampled])])[ends]
        share = (np.diff(passed) + passed[-1] / max(ends[-1], 1)) / (self._sampled_of + 1)
        return Passing(np.packbits(allowed, bitorder="little"), np.asarray(share * self.sizes, np.float32))

    def outlook(self, query: NDArray[np.float32], passing: Passing) -> tuple[NDArray[np.float32], Outlook]:
        """Return the projected query, shape (1, dims), and the outlook of the lists for it.

        Args:
            query: Shape (dim,).
            passing: The selected tiles.
        """
        short = np.ascontiguousarray(query[None] @ self._projection.T)
        spreads = self.spread * np.float32(np.linalg.norm(short))
        return short, Outlook.of(passing.per_list, (short @ self._centres.T)[0], spreads)

    def visit(
        self, short: NDArray[np.float32], lists: NDArray[np.int64], outlook: Outlook, passing: Passing, fetch: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and scores of the rows of some lists with the best codes, best first, at most `fetch`.

        Args:
            short: The projected query; see `outlook`.
            lists: The lists to search.
            outlook: Outlook of the query.
            passing: The selected tiles.
            fetch: Maximum number of rows.
        """
        lists = np.ascontiguousarray(lists, np.int64)
        near = np.ascontiguousarray(outlook.centres[lists])
        # These variables keep both alive while FAISS reads them.
        selector = _faiss.IDSelectorBitmap(passing.bits)
        params = _faiss.SearchParametersIVF(nprobe=len(lists), sel=selector)
        count = min(fetch, int(self.sizes[lists].sum()))
        found, ids = np.empty(count, np.float32), np.empty(count, np.int64)
        pointer = _faiss.swig_ptr
        if count:
            # The wrapper of the same name takes no parameters.
            self.ivf.search_preassigned_c(
                1, pointer(short), count, pointer(lists), pointer(near), pointer(found), pointer(ids), False, params
            )
        there = ids >= 0
        return ids[there] + self.first_id, found[there]

    def distances(
        self, ids: NDArray[np.int64], vectors: NDArray[np.float32], of: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the distance of rows from their list's centre, in the projected space, shape (n,).

        Args:
            ids: Tile ids, shape (n,).
            vectors: Shape (n, dim).
            of: Result of `list_of`.
        """
        aside = vectors @ self._projection.T - self._centres[of[ids - self.first_id]]
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", aside, aside)), np.float32)

    def list_of(self) -> NDArray[np.int32]:
        """Return the list of each tile by id, starting at `first_id`, -1 for missing ones, shape (span,)."""
        found = np.full(self.span, -1, np.int32)
        for number in range(self.lists):
            found[self._ids_of(number)] = number
        return found

    def _ids_of(self, number: int) -> NDArray[np.int64]:
        lists = self.ivf.invlists
        size = lists.list_size(number)
        ids: NDArray[np.int64] = _faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.empty(0, np.int64)
        return ids
