"""A folder of segments that another process compacts meanwhile."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bandsight.errors import ArchiveError
from bandsight.vectors.columns import TileColumns
from bandsight.vectors.folder import StoreFolder

_DIM = 8


def _columns(ids: NDArray[np.int64]) -> TileColumns:
    return TileColumns.empty(ids)


def _rows(count: int) -> NDArray[np.float16]:
    rows = np.random.default_rng(0).standard_normal((count, _DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def test_a_segment_deleted_while_open_is_still_read_whole(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path, _DIM, _columns)
    ids, rows = np.arange(1, 6), _rows(5)
    segment = folder.write(rows, _columns(ids))
    part = folder.open(segment)
    folder.remove_unnamed(set(), newest=5)
    assert not folder.path_of(segment).exists()
    assert np.array_equal(part.file.sound(np.arange(5)), rows)
    assert np.array_equal(part.columns.ids, ids)


def test_attributes_are_not_made_up_for_a_segment_deleted_while_it_is_opened(tmp_path: Path) -> None:
    writer = StoreFolder(tmp_path, _DIM, _columns)
    segment = writer.write(_rows(5), _columns(np.arange(1, 6)))
    for path in (tmp_path / "index").glob("seg-*"):
        path.unlink()

    def compacted_meanwhile(ids: NDArray[np.int64]) -> TileColumns:
        writer.remove_unnamed(set(), newest=5)
        return _columns(ids)

    with pytest.raises(ArchiveError, match="this vector file is missing"):
        StoreFolder(tmp_path, _DIM, compacted_meanwhile).open(segment)
    assert not list((tmp_path / "index").glob("seg-*")), "nothing is written for a segment that is gone"
