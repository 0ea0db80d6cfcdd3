"""The cells of tiles in an archive: searched, kept through every maintenance, checked and repaired."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import back_up, migrate_archive, repair, verify
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.search.by_cell import POOL
from bandsight.search.ranking import ResultSelection, find
from bandsight.search.scorers import BestScorer, MeanScorer
from bandsight.stac.items import item_of
from bandsight.vectors.cells import CellCodes
from tests.archive.makers import DIM, MODEL, entry, vectors

SIDE, SCENES, TILES = 2, 6, 4
QUERY = vectors(999, 1)


def cells_of(number: int, count: int = TILES) -> CellCodes:
    return CellCodes.encode(vectors(1000 + number, count * SIDE * SIDE).reshape(count, SIDE, SIDE, DIM))


def with_cells(number: int, count: int = TILES, *, version: int = 0):
    record, tiles, rows = entry(number, count, version=version)
    return replace(record, tiling={"cells": SIDE}), tiles, rows


def fill(archive: ArchiveWriter) -> None:
    """Even scenes have cells, odd ones have none."""
    for first in range(0, SCENES, 2):
        batch = [with_cells(first), entry(first + 1)]
        archive.add(batch, {batch[0][0].key: cells_of(first)})


@pytest.fixture
def path(tmp_path):
    with ArchiveWriter.create(tmp_path / "a", MODEL) as archive:
        fill(archive)
    return tmp_path / "a"


def expected(scorer) -> dict[tuple[str, int], tuple[float, int | None]]:
    """Score and best cell of each tile, by scene and column, computed one by one."""
    found = {}
    for number in range(SCENES):
        record, tiles, rows = entry(number)
        codes = cells_of(number)
        for at, tile in enumerate(tiles):
            if number % 2:
                row = rows[at].astype(np.float16).astype(np.float32)
                found[record.href, tile.col_off] = float(scorer.combine(scorer.directions @ row[:, None])[0]), None
            else:
                scores = scorer.combine(codes.cosines(scorer.directions)[:, at])
                found[record.href, tile.col_off] = float(scores.max()), int(scores.argmax())
    return found


def hits(archive: Archive, scorer=None, k: int = 100, **options):
    return find(archive, scorer or MeanScorer(QUERY), k, by_cell=True, **options).hits


def by_place(found) -> dict[tuple[str, int], tuple[float, int | None]]:
    return {
        (hit.scene.href, hit.tile.col_off): (
            hit.score,
            None if hit.cell is None else hit.cell.row * SIDE + hit.cell.column,
        )
        for hit in found
    }


def assert_same(found, wanted) -> None:
    assert found.keys() == wanted.keys()
    for place, (score, cell) in wanted.items():
        assert found[place][0] == pytest.approx(score, abs=1e-5)
        assert found[place][1] == cell


@pytest.mark.parametrize("scorer", [MeanScorer(QUERY), BestScorer(vectors(5, 2), vectors(6, 1))])
def test_a_tile_scores_as_its_best_cell_and_one_without_cells_as_itself(path, scorer):
    with Archive.open(path) as archive:
        found = hits(archive, scorer)
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        assert_same(by_place(found), expected(scorer))
        assert_same(by_place(hits(archive, scorer, exact=True)), expected(scorer))


def test_pages_neither_repeat_nor_miss_a_tile(path):
    with Archive.open(path) as archive:
        seen, after = [], None
        while True:
            page = find(archive, MeanScorer(QUERY), 5, by_cell=True, after=after)
            seen += page.hits
            after = page.next
            if after is None:
                break
        assert len(seen) == len(by_place(seen)) == SCENES * TILES == page.matched
        assert [hit.tile.id for hit in seen] == [hit.tile.id for hit in hits(archive)]
        assert_same(by_place(seen), expected(MeanScorer(QUERY)))


def test_only_the_best_tiles_as_a_whole_are_compared_by_cell(path, monkeypatch):
    monkeypatch.setattr("bandsight.search.by_cell.POOL", 5)
    monkeypatch.setattr("bandsight.search.ranking.POOL", 5)
    assert POOL > 5
    with Archive.open(path) as archive:
        page = find(archive, MeanScorer(QUERY), 100, by_cell=True)
        whole = find(archive, MeanScorer(QUERY), 5).hits
        assert {hit.tile.id for hit in page.hits} == {hit.tile.id for hit in whole}
        assert page.matched == 5
        assert len(hits(archive, exact=True)) == SCENES * TILES


def test_filters_and_selections_apply(path):
    with Archive.open(path) as archive:
        only = Filter(collections=("red",))
        found = hits(archive, where=only)
        assert found
        assert {hit.scene.collection for hit in found} == {"red"}
        grouped = hits(archive, selection=ResultSelection(group_by="scene"))
        assert len(grouped) == SCENES
        best = {hit.scene.href: hit.score for hit in reversed(hits(archive))}
        assert {hit.scene.href: hit.score for hit in grouped} == best


def test_the_error_for_an_archive_without_cells_says_how_to_get_them(tmp_path):
    with ArchiveWriter.create(tmp_path / "a", MODEL) as archive:
        archive.add([entry(1)])
        with pytest.raises(QueryError, match="index their scenes with --cells 4"):
            hits(archive)
        assert hits(archive, where=Filter(collections=("none",))) == []


def test_an_item_has_the_footprint_of_the_best_cell(path):
    with Archive.open(path) as archive:
        hit = next(hit for hit in hits(archive) if hit.cell is not None)
        item = item_of(hit, None, archive.model, 1)
        cell = item["properties"]["bandsight:best_cell"]
        assert (cell["row"], cell["column"], cell["side"]) == (hit.cell.row, hit.cell.column, SIDE)
        # The grid of the scene: 0.1 degrees a pixel, north up; a cell is half of the tile's 32 pixels wide.
        west = 0.1 * (hit.tile.col_off + 16 * hit.cell.column)
        north = -0.1 * 16 * hit.cell.row
        assert cell["bbox"] == pytest.approx([west, north - 1.6, west + 1.6, north])
        assert cell["geometry"]["type"] == "Polygon"
        json.dumps(item)
        whole = next(hit for hit in hits(archive) if hit.cell is None)
        assert "bandsight:best_cell" not in item_of(whole, None, archive.model, 1)["properties"]


def test_cells_stay_with_their_tiles_through_compaction_replacement_and_removal(path):
    with ArchiveWriter.open(path) as archive:
        archive.add([(one := with_cells(2, version=1))], {one[0].key: cells_of(2)})
        archive.remove(["/scenes/4.tif"])
        before = by_place(hits(archive))
        archive.compact()
        assert_same(by_place(hits(archive)), before)
        assert verify(archive, full=True) == []
        files = sorted(file.suffix for file in (path / "vectors").iterdir())
        assert 0 < files.count(".cells") < files.count(".bsv")


def test_a_backup_and_a_migrated_archive_have_the_cells(path, tmp_path):
    with Archive.open(path) as archive:
        back_up(archive, tmp_path / "backup")
        back_up(archive, tmp_path / "second", tmp_path / "backup")
    migrate_archive(path, tmp_path / "moved")
    for copy in ("backup", "second", "moved"):
        with Archive.open(tmp_path / copy) as archive:
            assert_same(by_place(hits(archive)), expected(MeanScorer(QUERY)))
            assert verify(archive, full=True) == []


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_damaged_cells_are_found_and_repaired(path, damage):
    file = sorted((path / "vectors").glob("*.cells"))[0]
    damage(file)
    with Archive.open(path) as archive:
        problems = verify(archive, full=True)
        assert any(file.stem in problem and "bandsight repair" in problem for problem in problems)
        # Searches by whole tiles go on.
        assert len(find(archive, MeanScorer(QUERY), 100).hits) == SCENES * TILES
    report = repair(path)
    assert any("lost: /scenes/0.tif" in line for line in report)
    with ArchiveWriter.open(path) as archive:
        assert verify(archive, full=True) == []
        assert "/scenes/0.tif" not in {scene.href for scene in archive.scenes()}
        batch = [with_cells(0)]
        archive.add(batch, {batch[0][0].key: cells_of(0)})
        assert_same(by_place(hits(archive)), expected(MeanScorer(QUERY)))


def test_cells_that_were_written_but_not_committed_are_removed(path):
    left = sorted((path / "vectors").glob("*.cells"))[0]
    shutil.copy(left, left.with_name("seg-000000000999-aaaaaaaaaaaa.cells"))
    with ArchiveWriter.open(path) as archive:
        assert not (path / "vectors" / "seg-000000000999-aaaaaaaaaaaa.cells").exists()
        assert_same(by_place(hits(archive)), expected(MeanScorer(QUERY)))
