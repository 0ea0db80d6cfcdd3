"""Scenes indexed with cells: every tile has them, whole scenes and scenes in parts alike."""

import numpy as np
import pytest

from bandsight.archive.admin import verify
from bandsight.errors import ModelError, SceneError
from bandsight.imagery.model_view import model_view
from bandsight.vectors.cells import CellCodes
from indexer import job, tile_plan
from indexer.pipeline import index
from indexer.reindex import reindex
from indexer.tiling import Tiling
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write


class Shorter(FakeEmbedder):
    """Another model, with shorter vectors."""

    name, digest, dim = "other", "0" * 64, 8


@pytest.fixture
def scenes(tmp_path):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.tif", picture(3, 96, 96, seed=number), origin=(320_000, 5_760_000))
    return tmp_path / "in"


def cells_by_tile(archive):
    """The codes of each tile's cells, and those of the model's own dense vectors of it."""
    archive.refresh()
    with archive.database.reading() as catalog:
        tiles = catalog.tiles(catalog.tile_ids(1, archive.newest_tile))
    found = {}
    for at, codes in archive.store.cells(list(tiles)):
        for position, records in zip(at.tolist(), codes.records, strict=True):
            found[list(tiles)[position]] = records
    return tiles, found


def assert_right(archive, encoder):
    tiles, found = cells_by_tile(archive)
    assert found.keys() == tiles.keys()
    known = {scene.id: scene for scene in archive.scenes()}
    for tile_id, tile in tiles.items():
        pixels = model_view(known[tile.scene_id], tile)[None]
        expected = CellCodes.encode(encoder.dense(pixels, known[tile.scene_id].wavelengths_um))
        # Within float32 noise of the batch, which may move a number across the border of its code.
        np.testing.assert_allclose(
            CellCodes(found[tile_id][None]).cosines(np.eye(encoder.dim, dtype=np.float32)),
            expected.cosines(np.eye(encoder.dim, dtype=np.float32)),
            atol=0.08,
        )
    assert verify(archive, full=True) == []


def test_every_tile_has_its_cells(scenes, archive, encoder):
    tiling = Tiling.of_model(encoder, cells=2)
    assert index([scenes], archive=archive, model=encoder, tiling=tiling).scenes == 3
    assert_right(archive, encoder)
    # Without options, scenes keep those that they were indexed with.
    assert index([scenes], archive=archive, model=encoder).skipped_scenes == 3


def test_a_scene_in_parts_has_its_cells(scenes, archive, encoder, monkeypatch):
    monkeypatch.setattr(job, "_COMMIT_TILES", 4)
    monkeypatch.setattr(tile_plan, "_VALUES_PER_READ", 2 * 3 * 32 * 32)
    tiling = Tiling.of_model(encoder, cells=2)
    assert index([scenes], archive=archive, model=encoder, tiling=tiling, batch_size=2).scenes == 3
    assert_right(archive, encoder)


def test_scenes_indexed_without_cells_are_indexed_again_for_them(scenes, archive, encoder):
    assert index([scenes], archive=archive, model=encoder).scenes == 3
    assert cells_by_tile(archive)[1] == {}
    keys = {scene.key for scene in archive.scenes()}
    assert index([scenes], archive=archive, model=encoder, tiling=Tiling.of_model(encoder, cells=0)).scenes == 0
    assert index([scenes], archive=archive, model=encoder, tiling=Tiling.of_model(encoder, cells=2)).scenes == 3
    assert keys.isdisjoint(scene.key for scene in archive.scenes())
    tiles, found = cells_by_tile(archive)
    assert found.keys() == tiles.keys()


def test_another_model_keeps_the_cells(scenes, archive, encoder):
    index([scenes], archive=archive, model=encoder, tiling=Tiling.of_model(encoder, cells=2))
    other = Shorter()
    assert reindex(archive, other)[1]
    with archive.database.reading() as catalog:
        newest = catalog.next_tile_id() - 1
        ids = catalog.tile_ids(1, newest)
    assert sum(len(at) for at, _ in archive.store.cells(ids)) == len(ids) > 0
    assert verify(archive, full=True) == []


def test_more_cells_than_the_model_has_are_rejected(scenes, archive, encoder):
    with pytest.raises(ModelError, match="2 × 2 parts apart, so pass at most --cells 2"):
        index([scenes], archive=archive, model=encoder, tiling=Tiling.of_model(encoder, cells=4))
    with pytest.raises(SceneError, match="need 2 to 8"):
        Tiling.of_model(encoder, cells=9)
