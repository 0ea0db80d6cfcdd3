"""Scenes rendered ahead for the map look like those rendered from their files, and never hide them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from bandsight.archive import Archive, ArchiveWriter
from bandsight.imagery.map_tiles import map_ground, mosaic_tile, scene_tile
from bandsight.imagery.pyramids import Pyramids, render_pyramid
from bandsight.imagery.rendering import render_spec
from indexer.pipeline import index
from indexer.tiling import Tiling
from tests.fakes import FakeEmbedder
from tests.imagery.makers import scene_at, tile_at, write_ground
from tests.indexer.conftest import identity
from tests.rasters import picture, write

GRID = Affine(10, 0, 400_000, 0, -10, 5_800_000)
UTM = "EPSG:32633"


def middle_of(scene, zoom):
    box = scene.boxes[0]
    return tile_at((box.west + box.east) / 2, (box.south + box.north) / 2, zoom)


@pytest.mark.parametrize("zoom", [10, 12, 13])
def test_a_pyramid_looks_like_the_scene_at_every_zoom(tmp_path: Path, zoom: int) -> None:
    # Smooth: finer ground would depend on how pixels are averaged.
    cols, rows = np.meshgrid(np.linspace(0, 1, 900), np.linspace(0, 1, 700))
    ground = np.stack([40 + 180 * cols, 40 + 180 * rows, 220 - 90 * (cols + rows)])
    path = write(tmp_path / "s.tif", np.rint(ground).astype(np.uint8), crs=UTM, transform=GRID)
    scene = replace(scene_at(path, UTM, GRID, 900, 700), gsd_m=10.0)
    pyramids = Pyramids(tmp_path)
    assert pyramids.tile(scene, map_ground(*middle_of(scene, zoom), 256)) is None
    data = render_pyramid(scene)
    assert data is not None
    pyramids.save(scene.key, data)
    target = map_ground(*middle_of(scene, zoom), 256)
    ready, drawn = pyramids.tile(scene, target), scene_tile(scene, render_spec(scene), target)
    assert ready is not None
    # Half a pixel at the edge may differ.
    edge = 4 * (256 / 2 ** (13 - zoom))
    assert (ready.seen != drawn.seen).sum() <= 2 * edge + 16
    both = ready.seen & drawn.seen
    assert both.any()
    assert np.abs(ready.rgb[both].astype(int) - drawn.rgb[both]).mean() < 2


def test_closer_views_come_from_the_file_unless_the_pyramid_is_as_fine(tmp_path: Path) -> None:
    scene = replace(write_ground(tmp_path / "s.tif", UTM, GRID, 3000, 300), gsd_m=10.0)
    pyramids = Pyramids(tmp_path)
    pyramids.save(scene.key, render_pyramid(scene) or b"")
    close = map_ground(*middle_of(scene, 15), 256)
    assert pyramids.tile(scene, close) is None
    small = replace(write_ground(tmp_path / "small.tif", UTM, GRID, 300, 300), gsd_m=10.0, key="small")
    pyramids.save("small", render_pyramid(small) or b"")
    # Its pyramid has all that the file has.
    assert pyramids.tile(small, map_ground(*middle_of(small, 17), 256)) is not None
    with_pyramid = mosaic_tile([scene], render_spec, close, pyramids)
    np.testing.assert_array_equal(with_pyramid.rgb, mosaic_tile([scene], render_spec, close).rgb)


def test_a_large_scene_has_a_small_pyramid_and_one_across_the_dateline_none(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", picture(3, 300, 3000), crs=UTM, transform=GRID)
    scene = replace(scene_at(path, UTM, GRID, 3000, 300), gsd_m=10.0)
    data = render_pyramid(scene)
    assert data is not None
    with rasterio.MemoryFile(data) as memory, memory.open() as dataset:
        assert 512 < dataset.width <= 2048
        assert dataset.overviews(1)
        assert dataset.crs == "EPSG:3857"
    assert render_pyramid(replace(scene, boxes=(*scene.boxes, *scene.boxes))) is None


def test_a_damaged_pyramid_is_not_used(tmp_path: Path) -> None:
    scene = replace(write_ground(tmp_path / "s.tif", UTM, GRID, 300, 300), gsd_m=10.0)
    pyramids = Pyramids(tmp_path)
    pyramids.save(scene.key, b"II*\0 this is no image")
    target = map_ground(*middle_of(scene, 13), 256)
    assert pyramids.tile(scene, target) is None
    assert mosaic_tile([scene], render_spec, target, pyramids).seen.any()


def test_indexing_renders_each_scene_and_compaction_drops_what_is_gone(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "scenes" / f"rgb_{number}.tif", picture(3, 96, 96, seed=number))
    encoder = FakeEmbedder()
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as archive:
        summary = index([tmp_path / "scenes"], archive=archive, model=encoder, tiling=Tiling(tile_px=32), isolate=True)
        assert summary.failed == []
    with Archive.open(tmp_path / "archive") as archive:
        pyramids, scenes = Pyramids(archive.path), archive.scenes()
        assert [pyramids.has(scene.key) for scene in scenes] == [True, True]
        assert pyramids.remove_others([scenes[0].key]) == 1
        assert [pyramids.has(scene.key) for scene in scenes] == [True, False]
