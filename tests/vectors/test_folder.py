"""A folder of segments that another process compacts meanwhile."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns
from bandsight.errors import ArchiveError
from bandsight.vectors.local import segments
from bandsight.vectors.local.folder import StoreFolder

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


def test_a_disk_that_fails_while_a_row_is_read_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StoreFolder(tmp_path, _DIM, _columns)
    part = folder.open(folder.write(_rows(5), _columns(np.arange(1, 6))))

    def fails(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segments.os, "preadv", fails)
        with pytest.raises(ArchiveError, match=rf"{part.file.name}: cannot be read \(Input/output error\)"):
            part.file.sound(np.arange(2))
    os.truncate(folder.path_of(part.segment), 150)
    with pytest.raises(ArchiveError, match="ends within its rows; run: bandsight repair"):
        part.file.sound(np.arange(5))


def test_a_row_whose_id_was_changed_on_disk_is_not_given_out(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path, _DIM, _columns)
    part = folder.open(folder.write(_rows(5), _columns(np.arange(1, 6))))
    with folder.path_of(part.segment).open("r+b") as file:
        file.seek(64 + 8 * 2)
        file.write(b"\x09")
    part.file.sound(np.array([0, 1, 3, 4]))
    with pytest.raises(ArchiveError, match="does not match its checksum"):
        part.file.sound(np.array([2]))


def test_ids_with_gaps_and_without_are_looked_up_alike(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path, _DIM, _columns)
    for ids in (np.arange(1, 6), np.array([7, 8, 11, 12, 20])):
        file = folder.open(folder.write(_rows(5), _columns(ids))).file
        np.testing.assert_array_equal(file.rows_of(ids[[3, 0]]), [3, 0])
        np.testing.assert_array_equal(file.ids_of(np.array([4, 1])), ids[[4, 1]])
        assert file.rows_of(np.array([ids[0], 10])) is None
        for first in (0, 1):
            marked = np.zeros(21 - first, bool)
            file.mark(np.array([True, False, False, True, True]), marked, first)
            np.testing.assert_array_equal(np.flatnonzero(marked) + first, ids[[0, 3, 4]])
        marked = np.zeros(21 - ids[2], bool)
        file.mark(np.array([False, False, False, True, True]), marked, int(ids[2]))
        np.testing.assert_array_equal(np.flatnonzero(marked) + ids[2], ids[[3, 4]])


def test_a_catalog_that_is_wrong_about_the_last_id_does_not_change_which_row_is_which(tmp_path: Path) -> None:
    """A migration down and up again fills in that ids have no gaps."""
    folder = StoreFolder(tmp_path, _DIM, _columns)
    ids, rows = np.array([7, 8, 11, 12, 20]), _rows(5)
    segment = replace(folder.write(rows, _columns(ids)), last_id=11)
    file = folder.open(segment).file
    assert not file.gapless
    found = file.rows_of(np.array([12, 20]))
    assert found is not None
    assert np.array_equal(file.sound(found), rows[3:])
    assert file.last_id == 20
