"""FAISS on a GPU: k-means for training an index, and exact search without a filter."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# Its type hints lack the functions that only some builds have.
_faiss: Any = faiss
_log = logging.getLogger(__name__)

MAX_K = 2048
"""Maximum number of hits of FAISS's GPU selection (`getMaxKSelection`)."""
Knn = Callable[["torch.Tensor", NDArray[np.float16], int], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Returns scores and positions of the k best rows (float16, shape (n, dim), on a device) for one float16 query, best
first, both of shape (k,)."""


def has_gpu() -> bool:
    """Return whether FAISS sees a GPU; checking with torch would take seconds to import it."""
    return bool(getattr(_faiss, "get_num_gpus", int)())


@contextmanager
def clustering_on_gpu(ivf: Any, dims: int) -> Iterator[None]:
    """Use the GPU to assign vectors to centres while an index is trained; does nothing without a GPU.

    Args:
        ivf: An untrained `IndexIVF`.
        dims: Length of its vectors.
    """
    if not has_gpu():
        yield
        return
    # This attribute keeps it alive while FAISS uses it.
    index = _faiss.GpuIndexFlatL2(_resources(), dims)
    ivf.clustering_index = index
    try:
        yield
    finally:
        ivf.clustering_index = None


def knn_on_gpu(
    rows: "torch.Tensor", query: NDArray[np.float16], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the k best rows by FAISS's brute-force search on the GPU (a `Knn`), reading torch's memory directly."""
    import torch

    vector = torch.from_numpy(query).to(rows.device)
    scores, places = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
    params = _faiss.GpuDistanceParams()
    params.metric = _faiss.METRIC_INNER_PRODUCT
    params.k, params.dims = k, rows.shape[1]
    # FAISS needs rows and queries of the same type.
    params.vectorType = params.queryType = _faiss.DistanceDataType_F16
    params.vectors = _faiss.cast_integer_to_void_ptr(rows.data_ptr())
    params.numVectors = len(rows)
    params.queries = _faiss.cast_integer_to_void_ptr(vector.data_ptr())
    params.numQueries = 1
    params.outDistances, params.outIndices = _faiss.swig_ptr(scores), _faiss.swig_ptr(places)
    params.device = -1 if rows.device.index is None else rows.device.index
    _faiss.bfKnn(_resources(), params)
    return scores[0], places[0]


@cache
def _resources() -> Any:
    """Return FAISS's scratch memory and streams; created once, because they take a second and some hundred MB."""
    made = _faiss.StandardGpuResources()
    # On torch's stream, which has written the rows.
    made.setDefaultNullStreamAllDevices()
    return made
