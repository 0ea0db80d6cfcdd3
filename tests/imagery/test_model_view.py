"""The picture "as the model saw it" has the pixels that the model was given when the tile was indexed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Tile
from bandsight.imagery.crops import crop
from bandsight.imagery.model_view import model_view
from bandsight.imagery.rendering import render_spec, scene_styles
from bandsight.imagery.thumbnails import thumbnail
from bandsight.query_image import decode_query_image
from bandsight.sensors.profile import load_profiles
from indexer.pipeline import index
from indexer.tiling import Tiling
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
from tests.indexer.test_scene_table import make_scenes
from tests.rasters import picture, write

# A user's profile of a camera whose files lie 65535 where they hold no data and do not say so.
PROFILE = """
title = "Field camera"
collection = "field"
nodata = 65535
min_bands = 3
product = '(?:^|/)field_'
bands = [
  { name = "g", common_name = "green", wavelength_um = 0.55, fwhm_um = 0.02 },
  { name = "r", common_name = "red", wavelength_um = 0.66, fwhm_um = 0.02 },
  { name = "n", common_name = "nir", wavelength_um = 0.85, fwhm_um = 0.04 },
]

[[layouts]]
bands = ["g", "r", "n"]

[[styles]]
name = "crop"
title = "Crops"
bands = ["n", "r", "g"]

[scaling.default]
kind = "linear"
quantity = "reflectance"
scale = 0.0001
low = 0
high = 0.5
"""


class Recorder(FakeEmbedder):
    """Keeps all pixels that it is given, as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[bytes] = set()

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths) -> NDArray[np.float32]:  # type: ignore[no-untyped-def]
        self.seen |= {np.ascontiguousarray(tile).tobytes() for tile in pixels}
        return super().embed_pixels(pixels, wavelengths)


def dig_holes(root: Path) -> None:
    """Leave parts of each raster without data: zeros in every band, which is fill for most profiles."""
    for file in sorted(root.rglob("*.[tT][iI][fF]*")):
        with rasterio.open(file, "r+") as dataset:
            values = dataset.read()
            values[:, :10, :40] = 0
            values[:, 40:44, 33:60] = 0
            if values.dtype.kind == "f":
                values[0, 50:52, 3:9] = np.nan
            dataset.write(values)


def tiles_of(archive: Archive) -> list[Tile]:
    return list(archive.tiles_by_id(archive.tile_ids(Filter()).tolist()).values())


def check(archive: Archive, encoder: Recorder) -> int:
    count = 0
    scenes = {scene.id: scene for scene in archive.scenes()}
    for tile in tiles_of(archive):
        scene = scenes[tile.scene_id]
        view = model_view(scene, tile)
        assert view.tobytes() in encoder.seen, (scene.name, tile.cell, tile.scale)
        sent, wavelengths = decode_query_image(crop(scene, tile, max_bytes=1 << 30))
        assert wavelengths == scene.wavelengths_um
        # Coarse pixels beside empty ones are means of others in a crop.
        unlike = (np.abs(sent.astype(int) - view) > 1).mean()
        assert unlike <= (0 if tile.scale == 1 else 0.05), (scene.name, tile.cell, tile.scale)
        count += 1
    return count


@pytest.mark.parametrize(
    "tiling", [Tiling(tile_px=32, min_valid=0.05), Tiling(tile_px=24, scales=(1, 2, 3), overlap=0.3)]
)
def test_the_model_view_equals_the_models_input_for_every_sensor(tmp_path, tiling):
    encoder = Recorder()
    root = make_scenes(tmp_path / "scenes")
    dig_holes(root)
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as archive:
        summary = index([root], archive=archive, model=encoder, tiling=tiling)
        assert summary.failed == []
        assert {scene.sensor for scene in archive.scenes()} == {profile.name for profile in load_profiles()}
        assert check(archive, encoder) == summary.tiles


def field_scene(path: Path) -> Path:
    values = picture(3, 64, 64, dtype="uint16") * 20
    values[:, :20, :30] = 65535
    return write(path, values)


def test_a_scene_of_a_users_profile_is_shown_as_it_was_indexed_after_the_profile_has_gone(tmp_path):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "field_camera.toml").write_text(PROFILE)
    encoder = Recorder()
    field_scene(tmp_path / "scenes" / "field_1.tif")
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as archive:
        known = load_profiles(tmp_path / "profiles")
        summary = index([tmp_path / "scenes"], archive=archive, model=encoder, profiles=known)
        assert summary.failed == []
        shutil.rmtree(tmp_path / "profiles")
        assert check(archive, encoder) == summary.tiles > 0
        (scene,) = archive.scenes()
        assert scene_styles(scene)[0].name == "crop"
        assert render_spec(scene).reads == (scene.bands[2], scene.bands[1], scene.bands[0])
        for tile in tiles_of(archive):
            rows, cols = np.mgrid[tile.row_off : tile.row_off + 32, tile.col_off : tile.col_off + 32]
            inside = (rows >= 0) & (rows < 64) & (cols >= 0) & (cols < 64)
            hole = (rows < 20) & (cols < 30)
            # What holds no data is black, not the brightest of all.
            shown = thumbnail(scene, tile, 32).max(axis=-1) > 0
            assert not shown[hole | ~inside].any()
            assert shown[inside & ~hole].mean() > 0.9
