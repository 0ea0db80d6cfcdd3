"""FAISS on a GPU; the path around it is tested without one in `test_stores`."""

import numpy as np
import pytest
import torch

from bandsight.attributes.filters import Filter
from bandsight.vectors.local import gpu_faiss, ivf_build, recall_tuning
from tests.vectors.test_stores import DIM, ROWS, context, fill, on_gpu, unit

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_faiss_finds_the_rows_that_numpy_finds():
    rows = unit(1000, 3).astype(np.float16)
    query = unit(1, 4)[0].astype(np.float16)
    scores, places = gpu_faiss.knn_on_gpu(torch.from_numpy(rows).to("cuda"), query, 20)
    expected = rows.astype(np.float32) @ query.astype(np.float32)
    np.testing.assert_allclose(scores, np.sort(expected)[::-1][:20], atol=1e-3)
    np.testing.assert_allclose(expected[places], scores, atol=1e-3)


def test_an_index_is_trained_on_the_gpu_and_reaches_its_target(tmp_path, monkeypatch):
    monkeypatch.setattr(ivf_build, "WORTH_IT", 100)
    monkeypatch.setattr(recall_tuning, "FEW", 0)
    store = on_gpu(tmp_path.as_uri(), context())
    fill(store)
    figures = store.optimize(unit(40, 4321))
    assert figures["rows"] == ROWS
    assert min(figures[f"recall_at_{k}_{kind}"] for k in (10, 100) for kind in ("image", "text")) >= 0.99


def test_the_memory_of_a_search_is_bounded_by_what_faiss_selects(tmp_path):
    store = on_gpu(tmp_path.as_uri(), context())
    fill(store)
    assert len(store.search(np.zeros((1, DIM), np.float32), gpu_faiss.MAX_K + 1, Filter())[0][0]) == ROWS
