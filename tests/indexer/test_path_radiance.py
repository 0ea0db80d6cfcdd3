"""What the air adds is found from dark ground, and no more than air can be is taken away."""

import numpy as np
import pytest

from bandsight.sensors.profile import load_profiles
from indexer.identity import scene_key
from indexer.path_radiance import path_reflectance
from indexer.scene import open_scene
from indexer.sources import find_scenes
from tests.rasters import picture, write

WAVES = np.array([0.443, 0.49, 0.56, 0.665, 0.842, 1.61])
# Molecules, the sun half way up.
CLEAR = np.array([0.094, 0.062, 0.036, 0.018, 0.007, 0.0005])
BANDS = ("B02", "B03", "B04", "B08", "B09", "B11")
OF_BANDS = np.array([0.49, 0.56, 0.665, 0.842, 0.945, 1.61])
# Water vapour leaves hardly any light in B09, whatever else is in the air.
VAPOUR = np.array([1, 1, 1, 1, 0.1, 1])


@pytest.mark.parametrize("aerosol", [0.0, 0.02, 0.05])
def test_air_over_dark_ground_is_found(aerosol):
    air = CLEAR + aerosol * (WAVES / 0.55) ** -1.3
    np.testing.assert_allclose(path_reflectance(WAVES, air + 0.01), air, atol=0.002)


def test_plants_are_dark_enough_though_they_are_bright_in_infrared():
    air = CLEAR + 0.03 * (WAVES / 0.55) ** -1.3
    plants = np.array([0.012, 0.014, 0.03, 0.015, 0.25, 0.12])
    np.testing.assert_allclose(path_reflectance(WAVES, air + plants), air, atol=0.004)


def test_of_a_desert_snow_or_clouds_no_more_than_air_is_taken_away():
    most = CLEAR + 0.08 * (WAVES / 0.55) ** -1.3
    for ground in ([0.12, 0.16, 0.23, 0.31, 0.38, 0.48], [0.8] * 5 + [0.1]):
        found = path_reflectance(WAVES, CLEAR + np.array(ground))
        assert (found <= most + 0.002).all()
        assert (found >= CLEAR - 0.002).all()


def test_nothing_dark_becomes_darker_than_dark_ground_is():
    darkest = np.array([0.02, 0.015, 0.005, 0.0, 0.0, 0.0])
    assert (path_reflectance(WAVES, darkest) <= np.maximum(darkest - 0.01, 0)).all()


def test_bands_of_long_waves_alone_say_nothing_of_aerosol():
    assert path_reflectance([1.61, 2.2], [0.2, 0.2]) == pytest.approx([0.0006, 0.0002], abs=2e-4)


def test_a_band_that_water_vapour_darkens_says_nothing_of_aerosol():
    air = np.insert(CLEAR + 0.03 * (WAVES / 0.55) ** -1.3, 5, 0.001)
    found = path_reflectance(np.insert(WAVES, 5, 0.945), air + 0.01)
    np.testing.assert_allclose(found, air, atol=0.002)


def test_the_lower_the_sun_the_more_of_the_reflectance_is_air():
    dark = np.full(6, 0.5)
    low, high = (path_reflectance(WAVES, dark, sun_elevation=height)[1] for height in (20, 70))
    assert low > 1.2 * high
    # Not corrected for the sun, the air is as bright as the light is, which is little.
    plain = [path_reflectance(WAVES, dark, sun_elevation=height, sun_corrected=False)[1] for height in (20, 70)]
    assert plain[0] < plain[1] < high
    assert path_reflectance(WAVES, dark, sun_elevation=30, sun_corrected=False)[0] == pytest.approx(
        path_reflectance(WAVES, dark, sun_elevation=30)[0] / 2, rel=0.15
    )


def scene(folder, level, haze=0.02):
    """Half water, half fields, through air with some haze in it; numbers as Sentinel-2 stores them."""
    air = haze * (OF_BANDS / 0.55) ** -1.3 + np.array([0.062, 0.036, 0.018, 0.007, 0.004, 0.0005])
    ground = np.full((len(BANDS), 64, 64), 0.01)
    ground[:, :, 32:] = np.array([0.06, 0.09, 0.12, 0.3, 0.3, 0.3])[:, None, None]
    values = np.round((ground + air[:, None, None]) * VAPOUR[:, None, None] * 10_000).astype(np.uint16)
    for band, layer in zip(BANDS, values, strict=True):
        write(folder / f"S2A_MSI{level}_20200505T101031_N0209_R022_T33UUU_{band}.tif", layer[None])
    source = next(iter(find_scenes([folder])))
    return open_scene(source, scene_key(source, {}), sensor=None, tiling={}), air


def test_a_scene_from_the_top_of_the_atmosphere_begins_above_its_air(tmp_path):
    found, air = scene(tmp_path, "L1C")
    assert found.record.sensor == "sentinel2_l1c"
    known = VAPOUR == 1
    np.testing.assert_allclose(np.array(found.raster.scaling.low)[known] / 10_000, air[known], atol=0.002)
    assert found.raster.scaling.high == pytest.approx([3000] * 6)
    assert found.record.stretch["low"] == list(found.raster.scaling.low)


def test_haze_leaves_a_range_to_the_ground(tmp_path):
    found, _ = scene(tmp_path, "L1C", haze=0.5)
    assert (np.array(found.raster.scaling.low) <= 0.6 * np.array(found.raster.scaling.high)).all()


def test_a_scene_without_its_air_begins_at_nothing(tmp_path):
    found, _ = scene(tmp_path, "L2A")
    assert found.record.sensor == "sentinel2_l2a"
    assert found.raster.scaling.low == pytest.approx([0] * 6)


def landsat(folder, sun):
    """Ground under a sun that stands low: numbers of level 1 are less by the sine of its height."""
    stem = "LC08_L1TP_193024_20200505_20200820_02_T1"
    ground = picture(1, 64, 64).astype(float) / 255 * 0.2
    values = np.round((ground * np.sin(np.radians(30)) + 0.1) / 0.00002).astype(np.uint16)
    for band in ("B2", "B3", "B4", "B5"):
        write(folder / f"{stem}_{band}.TIF", values)
    said = [] if sun is None else [f"    SUN_ELEVATION = {sun}"]
    (folder / f"{stem}_MTL.txt").write_text(
        "\n".join(["GROUP = IMAGE_ATTRIBUTES", *said, "END_GROUP = IMAGE_ATTRIBUTES"])
    )
    (source,) = find_scenes([folder])
    return open_scene(source, "key", tiling={})


@pytest.mark.parametrize(("sun", "light"), [(30, 0.5), (90, 1), (None, 1), (2, np.sin(np.radians(15)))])
def test_landsat_of_a_low_sun_is_as_bright_as_its_ground(tmp_path, sun, light):
    found = landsat(tmp_path, sun)
    assert found.record.sensor == "landsat89"
    # Where nothing says how high the sun stood, its numbers are taken as they are; below 15 degrees for those of 15.
    np.testing.assert_allclose(np.array(found.raster.scaling.high) * 0.00002 - 0.1, 0.3 * light, atol=1e-4)
    assert (np.array(found.raster.scaling.low) * 0.00002 - 0.1 <= 0.6 * 0.3 * light + 1e-4).all()


def test_profiles_say_whose_reflectance_has_air_in_it():
    hazy = {one.name: one.sun_corrected for one in load_profiles() if one.toa_reflectance}
    assert hazy == {"sentinel2_l1c": True, "landsat89": False}
