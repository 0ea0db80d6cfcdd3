"""Thumbnails: the right bands, the right place, and a clear error if the scene is gone."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

from bandsight.catalog.records import Scene
from bandsight.errors import SceneError
from bandsight.geo.box import LonLatBox
from bandsight.imagery.rendering import scene_styles
from bandsight.imagery.thumbnails import thumbnail
from bandsight.raster.bands import BandRef
from tests import rasters
from tests.imagery.makers import tile_of

GRID = Affine(10, 0, 500_000, 0, -10, 5_000_000)
AS_IS = {"kind": "as_is", "to_db": False, "low": [0.0], "high": [255.0]}
LINEAR = {"kind": "linear", "to_db": False, "low": [0.0], "high": [3000.0]}


def write(path: Path, values: NDArray[np.generic], transform: Affine = GRID, **options: object) -> Path:
    return rasters.write(path, values, transform=transform, **options)


def scene_of(bands: list[tuple[float, Path, int]], stretch: dict, width: int = 64, height: int = 64) -> Scene:
    return Scene(
        id=1,
        key="k",
        href=str(bands[0][1]),
        name="a",
        collection="c",
        sensor="s",
        datetime=datetime(2020, 5, 1, tzinfo=UTC),
        crs="EPSG:32633",
        transform=tuple(GRID)[:6],
        width=width,
        height=height,
        gsd_m=10.0,
        bands=tuple(
            BandRef(name=f"b{n}", wavelength_um=wave, href=str(path), index=index)
            for n, (wave, path, index) in enumerate(bands)
        ),
        stretch=stretch | {end: stretch[end] * (len(bands) // len(stretch[end])) for end in ("low", "high")},
        geometry={},
        boxes=(LonLatBox(west=15, south=45, east=15.1, north=45.1),),
    )


def colours(rng: np.random.Generator, bands: int = 3, side: int = 64) -> NDArray[np.uint8]:
    return rng.integers(1, 255, (bands, side, side), dtype=np.uint8)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_tile_of_an_rgb_scene_is_its_window_pixel_for_pixel(tmp_path: Path, rng: np.random.Generator) -> None:
    values = colours(rng)
    path = write(tmp_path / "a.tif", values)
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], AS_IS)
    picture = thumbnail(scene, tile_of(32, 16), 32)
    np.testing.assert_array_equal(picture, values[:, 16:48, 32:64].transpose(1, 2, 0))


def test_bands_are_chosen_by_wavelength_whatever_their_order(tmp_path: Path, rng: np.random.Generator) -> None:
    values = colours(rng, 4)
    path = write(tmp_path / "bgrn.tif", values)
    scene = scene_of([(0.49, path, 1), (0.56, path, 2), (0.665, path, 3), (0.842, path, 4)], AS_IS)
    np.testing.assert_array_equal(thumbnail(scene, tile_of(0, 0), 32), values[[2, 1, 0], :32, :32].transpose(1, 2, 0))


@pytest.mark.parametrize("waves", [[5.405, 5.405], [10.9], [0.842, 1.61, 2.19], [0.5, 0.6]])
def test_without_red_green_and_blue_the_first_band_is_grey(waves: list[float]) -> None:
    scene = scene_of([(wave, Path("x"), n + 1) for n, wave in enumerate(waves)], AS_IS)
    assert scene_styles(scene)[0].bands == ("b0",)


def test_a_single_band_is_grey_and_has_the_stretch_of_its_scene(tmp_path: Path) -> None:
    decibels = np.linspace(-25, 0, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    path = write(tmp_path / "s1.tif", decibels)
    picture = thumbnail(scene_of([(5.405, path, 1)], {**LINEAR, "low": [-25.0], "high": [0.0]}), tile_of(0, 0, 64), 64)
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 0] == picture[..., 2]).all()
    assert picture.min() == 0
    assert picture.max() == 255


def test_a_coarser_band_is_read_from_the_same_ground(tmp_path: Path) -> None:
    fine = np.zeros((2, 64, 64), np.uint8)
    coarse = np.zeros((1, 32, 32), np.uint8)
    fine[:, 20:28, 40:48] = 200
    coarse[:, 10:14, 20:24] = 200
    a = write(tmp_path / "fine.tif", fine)
    b = write(tmp_path / "coarse.tif", coarse, GRID @ Affine.scale(2))
    scene = scene_of([(0.665, a, 1), (0.56, a, 2), (0.48, b, 1)], AS_IS)
    red, _, blue = thumbnail(scene, tile_of(32, 16), 32).transpose(2, 0, 1).astype(int)
    # Interpolation blurs the edge of the coarse band; its middle and its surroundings must agree.
    assert blue[5:11, 9:15].min() > 150
    assert np.abs(red - blue).mean() < 8


def test_a_band_whose_file_begins_elsewhere_is_read_from_the_same_ground(tmp_path: Path) -> None:
    fine = np.zeros((2, 64, 64), np.uint8)
    fine[:, 20:28, 40:48] = 200
    # Twice the pixel size, and its corner 16 pixels of the fine grid further out.
    wide = np.zeros((1, 48, 48), np.uint8)
    wide[:, 18:22, 28:32] = 200
    a = write(tmp_path / "fine.tif", fine)
    b = write(tmp_path / "wide.tif", wide, GRID @ Affine.translation(-16, -16) @ Affine.scale(2))
    scene = scene_of([(0.665, a, 1), (0.56, a, 2), (0.48, b, 1)], AS_IS)
    red, _, blue = thumbnail(scene, tile_of(32, 16), 32).transpose(2, 0, 1).astype(int)
    assert blue[5:11, 9:15].min() > 150
    assert np.abs(red - blue).mean() < 8


def test_a_scene_placed_by_a_sidecar_is_read_by_its_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    values = colours(rng)
    path = write(tmp_path / "a.tif", values, Affine(2, 0, 7, 0, -2, 9))
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], AS_IS)
    picture = thumbnail(scene, tile_of(0, 32), 32)
    np.testing.assert_array_equal(picture, values[:, 32:64, 0:32].transpose(1, 2, 0))


def test_pixels_outside_the_scene_are_black(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.full((3, 64, 64), 200, np.uint8))
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], AS_IS)
    picture = thumbnail(scene, tile_of(48, -16), 32)
    assert (picture[16:, :16] == 200).all()
    assert not picture[:16].any()
    assert not picture[:, 16:].any()
    assert not thumbnail(scene, tile_of(64, 0), 32).any()


def test_pixels_without_data_can_be_transparent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.full((3, 64, 64), 200, np.uint8))
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], AS_IS)
    picture = thumbnail(scene, tile_of(48, -16), 32, transparent=True)
    assert picture.shape == (32, 32, 4)
    assert (picture[16:, :16] == (200, 200, 200, 255)).all()
    assert not picture[:16].any()
    assert not picture[:, 16:].any()
    full = thumbnail(scene, tile_of(0, 0), 32, transparent=True)
    np.testing.assert_array_equal(full, thumbnail(scene, tile_of(0, 0), 32))


def test_nodata_is_black_and_does_not_affect_the_stretch(tmp_path: Path) -> None:
    values = np.tile(np.linspace(1000, 2000, 64, dtype=np.float32), (3, 64, 1))
    values[:, :, :8] = -9999
    path = write(tmp_path / "a.tif", values, nodata=-9999)
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], LINEAR)
    picture = thumbnail(scene, tile_of(0, 0, 64), 64)
    assert not picture[:, :8].any()
    assert 100 < picture[:, 8:].mean() < 155


def test_a_tile_of_a_coarse_scale_is_its_average(tmp_path: Path, rng: np.random.Generator) -> None:
    values = colours(rng)
    path = write(tmp_path / "a.tif", values)
    scene = scene_of([(0.665, path, 1), (0.56, path, 2), (0.48, path, 3)], AS_IS)
    picture = thumbnail(scene, tile_of(0, 0, 64), 16).astype(float)
    blocks = values.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)).transpose(1, 2, 0)
    assert np.abs(picture - blocks).max() <= 1


def test_a_missing_scene_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "gone.tif", np.full((1, 64, 64), 200, np.uint8))
    scene = scene_of([(5.405, path, 1)], AS_IS)
    path.unlink()
    with pytest.raises(SceneError, match=r"gone\.tif"):
        thumbnail(scene, tile_of(0, 0))


def test_a_scene_that_was_replaced_by_another_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "other.tif", np.full((1, 64, 64), 200, np.uint8))
    with pytest.raises(SceneError, match=r"other\.tif"):
        thumbnail(scene_of([(5.405, path, 4)], AS_IS), tile_of(0, 0))


def test_a_damaged_scene_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "cut.tif", colours(rng))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SceneError, match=r"cut\.tif"):
        thumbnail(scene_of([(5.405, path, 1)], AS_IS), tile_of(0, 32))
