"""Styles: every built-in sensor has at least one, with its own bands and existing colour maps."""

import pytest
from rio_tiler.colormap import cmap

from bandsight.errors import SensorError
from bandsight.sensors.profile import Profile, load_profiles
from bandsight.sensors.styles import Style, styles_of


def bands_of(profile: Profile) -> list[tuple[str, float]]:
    return [(name, profile.band(name).wavelength_um) for name in profile.default_bands]


@pytest.mark.parametrize("profile", [one for one in load_profiles() if one.bands], ids=lambda profile: profile.name)
def test_every_sensor_has_styles_of_its_own_bands(profile: Profile) -> None:
    bands = bands_of(profile)
    styles = styles_of(bands, profile.styles)
    names = {name for name, _ in bands}
    assert len({style.name for style in styles}) == len(styles)
    assert all(names.issuperset(style.needs) for style in styles)
    assert names == {style.bands[0] for style in styles if len(style.bands) == 1}
    assert all(style.colormap in {None, *cmap.list()} for style in styles)


@pytest.mark.parametrize(
    ("sensor", "name", "bands"),
    [
        ("sentinel2_l2a", "natural", ("B04", "B03", "B02")),
        ("sentinel2_l2a", "infrared", ("B08", "B04", "B03")),
        ("sentinel2_l2a", "shortwave", ("B12", "B08", "B04")),
        ("landsat89_sr", "agriculture", ("B6", "B5", "B2")),
        ("rgbn", "infrared", ("nir", "red", "green")),
        ("modis_sr", "natural", ("sur_refl_b01", "sur_refl_b04", "sur_refl_b03")),
        ("sentinel1", "dual", ("VV", "VH", "VV/VH")),
        ("thermal", "heat", ("lwir",)),
        ("elevation", "height", ("elevation",)),
    ],
)
def test_band_combinations_are_the_common_ones(sensor: str, name: str, bands: tuple[str, ...]) -> None:
    profile = next(one for one in load_profiles() if one.name == sensor)
    found = {style.name: style.bands for style in styles_of(bands_of(profile), profile.styles)}
    assert found[name] == bands


def test_any_spectrometer_has_natural_colour_and_thermal_bands_are_warm() -> None:
    bands = [(f"b{n}", 0.4 + n * 0.01) for n in range(200)] + [("hot", 10.9)]
    styles = {style.name: style for style in styles_of(bands)}
    assert styles["natural"].bands == ("b26", "b16", "b8")
    assert styles["hot"].colormap == "inferno"
    assert styles["b0"].colormap is None


def test_styles_that_need_missing_bands_are_not_offered() -> None:
    own = (Style(name="dual", title="", bands=("VV", "VH", "VV/VH"), ranges=((0, 1), (0, 1), (3, 15))),)
    assert [style.name for style in styles_of([("VV", 5.405)], own)] == ["VV"]
    assert [style.name for style in styles_of([("nir", 0.84), ("swir", 1.6)])] == ["nir", "swir"]


@pytest.mark.parametrize(
    "lines",
    [
        'bands = ["a", "b"]',
        'bands = ["none"]',
        'bands = ["a"]\nranges = [[0, 1], [0, 1]]',
        'bands = ["a/b"]',
        'bands = ["a"]\ncolour = "red"',
    ],
)
def test_a_broken_style_names_its_profile(tmp_path, lines: str) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "t"\ncollection = "c"\n'
        'bands = [{name = "a", wavelength_um = 0.5}, {name = "b", wavelength_um = 0.6}]\n'
        f'[scaling.default]\nkind = "as_is"\n[[styles]]\nname = "s"\ntitle = "t"\n{lines}\n'
    )
    with pytest.raises(SensorError, match=r"mine\.toml"):
        load_profiles(tmp_path)
