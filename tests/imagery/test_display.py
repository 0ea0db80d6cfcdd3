"""Pictures look natural: one stretch for a scene, true hues without haze, radar without speckle, no pinholes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import Scene
from bandsight.imagery.display import toned
from bandsight.imagery.map_tiles import map_ground, scene_tile
from bandsight.imagery.rendering import render_spec
from bandsight.imagery.thumbnails import thumbnail
from bandsight.raster.decisions import BandDecision, Decisions
from indexer.pipeline import index
from indexer.tiling import Tiling
from tests.fakes import FakeEmbedder
from tests.imagery.makers import scene_at, tile_at, tile_of
from tests.indexer.conftest import identity
from tests.rasters import write

GRID = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM = "EPSG:32633"
REFLECTANCE = {"kind": "linear", "quantity": "reflectance", "low": [0.0] * 3, "high": [3000.0] * 3}
# Red, green, blue.
AIR = (0.03, 0.06, 0.1)


def reflectance_scene(path: Path, ground: NDArray[np.float64], air: tuple[float, ...] = (0.0,) * 3) -> Scene:
    """Return a scene of such ground, (bands, rows, columns), seen through air that adds and takes."""
    seen = np.stack([haze + (1 - 2 * haze) * band for haze, band in zip(air, ground, strict=True)])
    write(path, np.rint(seen * 10_000).astype(np.uint16), crs=UTM, transform=GRID)
    # The estimate that indexing stores takes the darkest ground for almost black; see `_haze`.
    paths = [(haze + (0.01 if haze and number == 1 else 0)) / 0.9 for number, haze in enumerate(air)]
    bands = tuple(BandDecision(scale=0.0001, scale_from="the profile", path_reflectance=path) for path in paths)
    scene = scene_at(path, UTM, GRID, ground.shape[2], ground.shape[1], **REFLECTANCE)
    return replace(scene, gsd_m=10.0, decisions=Decisions(profile="made_up", bands=bands).as_dict())


def radar_scene(path: Path, values: NDArray[np.float32]) -> Scene:
    write(path, values, crs=UTM, transform=GRID)
    stretch = {"kind": "linear", "quantity": "dB", "low": [-25.0], "high": [0.0], "waves": (5.405,)}
    scene = scene_at(path, UTM, GRID, values.shape[2], values.shape[1], **stretch)
    bands = (BandDecision(frequency_ghz=5.405, polarisation="VV"),)
    return replace(scene, gsd_m=10.0, decisions=Decisions(profile="made_up", bands=bands).as_dict())


def speckle(shape: tuple[int, int], seed: int = 1) -> NDArray[np.float32]:
    """Return the speckle of four looks, dB."""
    looks = np.random.default_rng(seed).exponential(1.0, (4, *shape))
    return (10 * np.log10(looks.mean(0)))[None].astype(np.float32)


def test_grey_ground_looks_grey_despite_haze(tmp_path):
    ground = np.broadcast_to(np.linspace(0.02, 0.28, 64), (3, 64, 64))
    clear = thumbnail(reflectance_scene(tmp_path / "clear.tif", ground), tile_of(0, 0, 64), 64).astype(int)
    hazy = thumbnail(reflectance_scene(tmp_path / "hazy.tif", ground, AIR), tile_of(0, 0, 64), 64).astype(int)
    assert np.ptp(clear, axis=-1).max() <= 1
    assert np.ptp(hazy, axis=-1).max() <= 3
    # Two dates can be compared: the same ground has the same tone, however hazy the air.
    assert np.abs(hazy - clear).max() <= 3


def test_a_tile_looks_the_same_wherever_it_is_shown(tmp_path):
    rng = np.random.default_rng(3)
    ground = np.repeat(np.repeat(rng.uniform(0.02, 0.5, (3, 4, 4)), 32, 1), 32, 2)
    scene = reflectance_scene(tmp_path / "s.tif", ground)
    whole = thumbnail(scene, tile_of(0, 0, 128), 128)
    part = thumbnail(scene, tile_of(32, 64, 32), 32)
    np.testing.assert_array_equal(part, whole[64:96, 32:64])
    box = scene.boxes[0]
    z, x, y = tile_at((box.west + box.east) / 2, (box.south + box.north) / 2, 13)
    on_map = scene_tile(scene, render_spec(scene), map_ground(z, x, y, 256))
    shown = {tuple(colour) for colour in whole.reshape(-1, 3).tolist()}
    flat = on_map.rgb[on_map.seen]
    # Away from the edges between fields, the map has the same colours.
    assert np.mean([tuple(colour) in shown for colour in flat.tolist()]) > 0.8


def test_the_tone_of_reflectance_is_bright_and_keeps_clouds_apart():
    forest, field, sand, cloud, snow = toned(np.array([0.03, 0.1, 0.3, 0.5, 0.8], np.float32), 0, 0.3, "reflectance")
    assert 30 < forest < 50
    assert 90 < field < 115
    assert 200 < sand < 225
    assert sand < cloud - 20 < snow - 25


def test_radar_is_shown_without_speckle_and_with_its_edges(tmp_path):
    values = np.full((1, 256, 256), -15, np.float32)
    values[:, :, 128:] = -6
    scene = radar_scene(tmp_path / "vv.tif", values + speckle((256, 256)))
    calm = thumbnail(scene, tile_of(0, 0, 256), 256)[..., 0].astype(float)
    raw = thumbnail(scene, tile_of(0, 0, 256), 256, render_spec(scene, rescale=[(-25, 0)]))[..., 0].astype(float)
    left, right = np.s_[16:240, 16:112], np.s_[16:240, 144:240]
    for side in (left, right):
        assert calm[side].std() < raw[side].std() / 3
    step = calm[right].mean() - calm[left].mean()
    assert step == pytest.approx((values[0, 0, -1] - values[0, 0, 0]) / 25 * 255, abs=4)
    # The edge is not blurred over the whole window.
    assert calm[16:240, 131].mean() - calm[16:240, 124].mean() > 0.8 * step


def test_map_tiles_of_radar_meet_without_a_seam(tmp_path):
    scene = radar_scene(tmp_path / "vv.tif", -12 + speckle((600, 600)))
    box = scene.boxes[0]
    z, x, y = tile_at((box.west + box.east) / 2, (box.south + box.north) / 2, 14)
    spec = render_spec(scene)
    pair = [scene_tile(scene, spec, map_ground(z, x + side, y, 256)).rgb[..., 0].astype(float) for side in (0, 1)]
    across = np.abs(pair[1][:, 0] - pair[0][:, -1]).mean()
    within = np.abs(np.diff(np.concatenate(pair, axis=1), axis=1)).mean()
    assert across < 1.5 * within


def test_single_pixels_without_data_are_filled_and_larger_holes_are_not(tmp_path):
    ground = np.full((3, 64, 64), 0.1)
    ground[0, 10, 10] = 0  # Dark water in red, which is the number for no data.
    ground[:, 30:42, 30:42] = 0
    scene = reflectance_scene(tmp_path / "s.tif", ground)
    decisions = {**(scene.decisions or {}), "nodata": 0.0}
    picture = thumbnail(replace(scene, decisions=decisions), tile_of(0, 0, 64), 64, transparent=True)
    np.testing.assert_array_equal(picture[10, 10], picture[5, 5])
    assert (picture[32:40, 32:40, 3] == 0).all()
    assert (picture[:28, :28, 3] == 255).all()


def test_the_stretch_of_other_numbers_is_kept_with_the_scene(tmp_path):
    rng = np.random.default_rng(5)
    values = rng.integers(60, 200, (4, 64, 64)).astype(np.uint16) + np.array([80, 40, 10, 0], np.uint16)[:, None, None]
    write(tmp_path / "scenes" / "WV02_ms.tif", values, crs=UTM, transform=GRID, descriptions=["B", "G", "R", "N"])
    encoder = FakeEmbedder()
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as archive:
        summary = index([tmp_path / "scenes"], archive=archive, model=encoder, tiling=Tiling(tile_px=32))
        assert summary.failed == []
    with Archive.open(tmp_path / "archive") as archive:
        (scene,) = archive.scenes()
    assert scene.stretch["kind"] == "percentile"
    spec = render_spec(scene)
    # Each from its own dark end: the blue of haze goes.
    assert [low for low, _ in spec.ranges] == pytest.approx([70, 100, 140], abs=3)
    # An archive from before has no such ends: they are taken from the pixels.
    bands = [{k: v for k, v in band.items() if k != "display_range"} for band in (scene.decisions or {})["bands"]]
    old = replace(scene, key="old", decisions={**(scene.decisions or {}), "bands": bands})
    assert np.array(render_spec(old).ranges) == pytest.approx(np.array(spec.ranges))
