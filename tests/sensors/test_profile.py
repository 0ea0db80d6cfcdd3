from pathlib import Path

import pytest

from bandsight.errors import SensorError
from bandsight.sensors import profile as module
from bandsight.sensors.profile import Profile, load_profiles, profile_named

PROFILES = load_profiles()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_shipped_profile_agrees_with_itself(profile: Profile) -> None:
    names = [band.name for band in profile.bands]
    assert len(set(names)) == len(names)
    assert set(profile.default_bands) <= set(names)
    assert 1 <= profile.min_bands <= max(len(profile.default_bands), 1)
    for layout in profile.layouts:
        assert set(layout.bands) <= set(names)
        assert sum(name in profile.default_bands for name in layout.bands) >= profile.min_bands
    for rule in profile.scaling.values():
        assert rule.low < rule.high
        assert rule.kind in {"as_is", "linear", "percentile"}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_wavelengths_of_a_profile_are_in_micrometres(profile: Profile) -> None:
    for band in profile.bands:
        assert 0.3 < band.wavelength_um < 15, band
        assert band.fwhm_um is None or 0 < band.fwhm_um < band.wavelength_um


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_band_file_belongs_to_one_band_only(profile: Profile) -> None:
    for band in profile.bands:
        if band.file:
            claimed = [other.name for other in profile.bands if other.file and other.file.search(f"x_{band.name}")]
            assert claimed in ([band.name], [])


def test_the_sensors_of_the_guide_are_there() -> None:
    names = {profile.name for profile in PROFILES}
    assert names >= {
        "rgb", "rgbn", "bgrn", "sentinel2_l1c", "sentinel2_l2a", "sentinel1", "landsat89", "landsat45_tm",
        "landsat7_etm", "hyperspectral", "elevation", "sar_x",
    }  # fmt: skip


def test_radar_has_the_code_that_the_models_know() -> None:
    for name in ("sentinel1", "sar_amplitude", "sar_x"):
        assert {band.wavelength_um for band in profile_named(name).bands} == {5.405}


def test_an_unknown_sensor_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(SensorError, match=r"'landsat42'.*landsat89.*sentinel1"):
        profile_named("landsat42")


def test_bytes_of_sentinel_2_are_as_they_are_and_other_types_are_reflectance() -> None:
    profile = profile_named("sentinel2_l1c")
    assert profile.scaling_for("uint8").kind == "as_is"
    assert (profile.scaling_for("uint16").low, profile.scaling_for("uint16").high) == (0, 3000)


def test_the_offset_of_newer_sentinel_2_products_is_taken_from_their_path() -> None:
    profile = profile_named("sentinel2_l2a")
    old = Path("S2A_MSIL2A_20210216T102049_N0214_R065_T32TQM_20210216T130911.SAFE/GRANULE/R10m/T32TQM_B02_10m.jp2")
    new = Path("S2B_MSIL2A_20220216T102049_N0400_R065_T32TQM_20220216T130911.SAFE/GRANULE/R10m/T32TQM_B02_10m.jp2")
    newer = Path(str(new).replace("N0400", "N0510"))
    assert profile.for_path(old) is profile
    for path in (new, newer):
        rule = profile.for_path(path).scaling_for("uint16")
        assert (rule.low, rule.high) == (1000, 4000)
        assert profile.for_path(path).scaling_for("uint8") == profile.scaling_for("uint8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "TOMLDecodeError"),
        ('title = "x"\ncollection = "x"', "scaling"),
        ('title = "x"\ncollection = "x"\n[scaling.uint8]\nkind = "as_is"', "scaling.default"),
        ('title = "x"\ncollection = "x"\nproduct = "("\n[scaling.default]\nkind = "as_is"', "error"),
        (
            'title = "x"\ncollection = "x"\nbands = [{ name = "b" }]\n[scaling.default]\nkind = "as_is"',
            "wavelength_um",
        ),
    ],
)
def test_a_broken_profile_is_refused_by_its_file(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SensorError, match=rf"mine\.toml.*{says}"):
        module._read(path)
