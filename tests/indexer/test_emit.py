"""EMIT is orthorectified by the lookup table in its files.

The file is a small one of the product's structure, made with netCDF4: reflectance 0.05 + 0.01 × band + 0.001 × line +
0.0001 × column of the sensor, counted from 0; on the ground line y, column x shows line y - 4, column x - y // 8.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bandsight.raster.open_files import OpenFiles
from bandsight.raster.windows import read_window
from indexer.pipeline import index
from indexer.scene import open_scene
from indexer.sources import find_scenes
from indexer.tiling import Tiling

NAME = "EMIT_L2A_RFL_001_20220827T091626_2223906_009.nc"
FILE = Path(__file__).parents[1] / "fixtures" / NAME
LINES, COLUMNS, ROWS, WIDTH = 24, 20, 30, 26


def on_the_ground():
    """Return bands 1 to 5 as they lie on the ground, and where the sensor saw it."""
    y, x = np.mgrid[:ROWS, :WIDTH]
    line, column = y - 4, x - y // 8
    seen = (line >= 0) & (line < LINES) & (column >= 0) & (column < COLUMNS)
    return np.stack([0.05 + 0.01 * band + 0.001 * line + 0.0001 * column for band in range(6)]), seen


def opened(path):
    (source,) = find_scenes([path])
    return open_scene(source, "key", tiling={})


def test_emit_lies_where_its_lookup_table_says_with_its_own_wavelengths():
    scene = opened(FILE)
    assert (scene.record.sensor, scene.record.crs) == ("emit", "EPSG:4326")
    # 400 to 2400 nm in steps of 400; water vapour leaves no light at none of them.
    assert [band.wavelength_um for band in scene.record.bands] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.4])
    assert scene.record.datetime.isoformat() == "2022-08-27T09:16:26+00:00"
    (box,) = scene.record.boxes
    assert (box.west, box.south, box.east, box.north) == pytest.approx((-62.5, -39.315, -62.487, -39.3))


@pytest.mark.parametrize("corner", [(0, 0, WIDTH, ROWS), (3, 5, 19, 25), (-4, -4, 12, 8)])
def test_windows_of_emit_hold_the_pixels_of_the_sensor(corner):
    values, seen = on_the_ground()
    left, top, right, bottom = corner
    padded = np.pad(values, ((0, 0), (4, 0), (4, 0)))[:, top + 4 : bottom + 4, left + 4 : right + 4]
    there = np.pad(seen, ((4, 0), (4, 0)))[top + 4 : bottom + 4, left + 4 : right + 4]
    with OpenFiles() as files:
        found = read_window(opened(FILE).raster, corner, (bottom - top, right - left), files)
    assert np.array_equal(found.valid, there)
    assert np.allclose(found.values[:, there], padded[:, there], atol=1e-6)


def test_coarse_pixels_of_emit_are_means_of_what_the_sensor_saw():
    values, seen = on_the_ground()
    with OpenFiles() as files:
        found = read_window(opened(FILE).raster, (0, 0, 24, 28), (14, 12), files)
    blocks = np.where(seen, values, np.nan)[:, :28, :24].reshape(6, 14, 2, 12, 2)
    whole = np.isfinite(blocks[0]).all(axis=(1, 3))
    assert np.allclose(
        found.values[:, whole & found.valid], blocks.mean(axis=(2, 4))[:, whole & found.valid], atol=1e-6
    )
    assert (found.valid & whole).sum() > 50
    assert not found.valid[~np.isfinite(blocks[0]).any(axis=(1, 3))].any()


def test_emit_is_indexed_and_what_its_product_has_beside_it_is_left_out(tmp_path, archive, encoder):
    shutil.copy(FILE, tmp_path / NAME)
    for layer in ("MASK", "RFLUNCERT"):
        (tmp_path / NAME.replace("RFL", layer)).write_bytes(b"x")
    summary = index([tmp_path], archive=archive, model=encoder, tiling=Tiling(tile_px=16))
    assert (summary.scenes, summary.failed) == (1, [])
    assert archive.tile_count > 0
