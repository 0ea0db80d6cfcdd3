"""Requests that rank by the best cell, from body to results."""

from dataclasses import replace

import numpy as np
import pytest

from bandsight.archive import ArchiveWriter
from bandsight.errors import QueryError
from bandsight.search.by_cell import REASON
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from bandsight.stac.items import item_collection
from bandsight.vectors.cells import CellCodes
from tests.archive.makers import DIM, MODEL, entry, vectors
from tests.fakes import FakeEmbedder


@pytest.fixture
def searcher(tmp_path):
    with ArchiveWriter.create(tmp_path / "a", MODEL) as archive:
        record, tiles, rows = entry(0)
        record = replace(record, tiling={"cells": 2})
        cells = vectors(7, 16).reshape(4, 2, 2, DIM)
        # The lower left part of the third tile is what the sentence says.
        cells[2, 1, 0] = FakeEmbedder().embed_texts(["a mast"])[0]
        archive.add([(record, tiles, rows)], {record.key: CellCodes.encode(cells)})
        yield Searcher(archive, FakeEmbedder())


def ask(searcher, **semantic):
    return search(searcher, request_of({"semantic": semantic, "limit": 4}))


def test_the_tile_with_the_part_comes_first_and_its_part_is_in_the_item(searcher):
    page = ask(searcher, text="a mast", by_cell=True)
    first = item_collection(page, MODEL, None)["features"][0]["properties"]
    assert page.rows[0].tile.col_off == 64
    assert first["bandsight:score"] > 0.95
    assert {name: first["bandsight:best_cell"][name] for name in ("row", "column", "side")} == {
        "row": 1,
        "column": 0,
        "side": 2,
    }
    assert first["bandsight:probability"] is None
    assert first["bandsight:probability_reason"] == REASON
    assert first["bandsight:matched"] == "a mast"


def test_hits_of_whole_tiles_have_no_cell(searcher):
    page = ask(searcher, text="a mast")
    assert all(
        "bandsight:best_cell" not in item["properties"] for item in item_collection(page, MODEL, None)["features"]
    )


def test_several_examples_and_a_minimum_score_apply_to_cells(searcher):
    mixed = ask(searcher, text=["a mast", "a field"], strategy="best", by_cell=True)
    assert mixed.rows[0].tile.col_off == 64
    assert len(ask(searcher, text="a mast", by_cell=True, min_score=0.95).rows) == 1


def test_cells_have_no_minimum_probability(searcher):
    with pytest.raises(QueryError, match="use min_score with by_cell"):
        ask(searcher, text="a mast", by_cell=True, min_probability=0.5)


def test_later_pages_continue_by_cell(searcher):
    page = ask(searcher, text="a mast", by_cell=True)
    later = search(searcher, request_of({"semantic": {"text": "a mast", "by_cell": True}, "limit": 2}))
    rest = search(
        searcher, request_of({"semantic": {"text": "a mast", "by_cell": True}, "limit": 2, "token": later.next})
    )
    assert [hit.tile.id for hit in (*later.rows, *rest.rows)] == [hit.tile.id for hit in page.rows]
    np.testing.assert_array_equal([hit.rank for hit in rest.rows], [3, 4])
