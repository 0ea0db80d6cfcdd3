from itertools import pairwise
from pathlib import Path

import pytest

from bandsight.errors import SensorError
from bandsight.sensors import profile as module
from bandsight.sensors.listing import profile_lines, profile_text
from bandsight.sensors.profile import Profile, load_profiles, profile_named

PROFILES = load_profiles()
HEAD = 'title = "x"\ncollection = "x"\n'
BAND = '{ name = "b", wavelength_um = 0.6 }'
TAIL = '[scaling.default]\nkind = "as_is"'


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_shipped_profile_agrees_with_itself(profile: Profile) -> None:
    names = [band.name for band in profile.bands]
    assert len(set(names)) == len(names)
    assert set(profile.default_bands) <= set(names)
    assert 1 <= profile.min_bands <= max(len(profile.default_bands), 1)
    for layout in profile.layouts:
        assert set(layout.bands) <= set(names)
        assert sum(name in profile.default_bands for name in layout.bands) >= profile.min_bands
    for rules in profile.scaling.values():
        # Only the last of several may take any number.
        assert all(rule.plausible for rule in rules[:-1])
        spans = sorted(rule.plausible for rule in rules if rule.plausible and not rule.to_db)
        assert all(one[1] < other[0] for one, other in pairwise(spans))


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


def test_the_sensors_of_the_guide_exist() -> None:
    names = {profile.name for profile in PROFILES}
    assert names >= {
        "rgb", "rgbn", "bgrn", "sentinel2_l1c", "sentinel2_l2a", "sentinel1", "landsat89", "landsat45_tm",
        "landsat7_etm", "hyperspectral", "elevation", "sar_x", "landsat45_sr", "landsat7_sr", "landsat89_sr",
        "planetscope", "planetscope8", "worldview", "worldview_pan", "hls_l30", "hls_s30", "modis_sr", "enmap",
        "prisma", "aviris", "thermal",
    }  # fmt: skip


def test_radar_has_the_code_that_the_models_know() -> None:
    for name in ("sentinel1", "sar_amplitude", "sar_x"):
        assert {band.wavelength_um for band in profile_named(name).bands} == {5.405}


def test_an_unknown_sensor_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(SensorError, match=r"'landsat42'.*landsat89.*sentinel1"):
        profile_named("landsat42")


def test_sentinel_2_bytes_are_used_as_they_are_and_other_types_are_reflectance() -> None:
    profile = profile_named("sentinel2_l1c")
    assert profile.rules_for("uint8")[0].kind == "as_is"
    (integers,), floats = profile.rules_for("uint16"), profile.rules_for("float32")[1]
    assert [integers.stored(value) for value in (0, 0.3)] == pytest.approx([0, 3000])
    assert [floats.stored(value) for value in (0, 0.3)] == pytest.approx([0, 0.3])


def test_the_offset_of_newer_sentinel_2_products_is_taken_from_their_path() -> None:
    profile = profile_named("sentinel2_l2a")
    old = Path("S2A_MSIL2A_20210216T102049_N0214_R065_T32TQM_20210216T130911.SAFE/GRANULE/R10m/T32TQM_B02_10m.jp2")
    new = Path("S2B_MSIL2A_20220216T102049_N0400_R065_T32TQM_20220216T130911.SAFE/GRANULE/R10m/T32TQM_B02_10m.jp2")
    newer = Path(str(new).replace("N0400", "N0510"))
    assert profile.for_path(old) is profile
    for path in (new, newer):
        own = profile.for_path(path)
        (integers,), floats = own.rules_for("uint16"), own.rules_for("float32")[1]
        assert [integers.stored(value) for value in (0, 0.3)] == pytest.approx([1000, 4000])
        assert floats.stored(0) == 0
        assert profile.for_path(path).rules_for("uint8") == profile.rules_for("uint8")


@pytest.mark.parametrize(
    ("name", "dtype", "rule", "stored"),
    [
        ("landsat89", "uint16", 0, (5000, 20000)),
        ("landsat89_sr", "uint16", 0, (7272.7, 18181.8)),
        ("landsat45_sr", "uint16", 0, (7272.7, 18181.8)),
        ("hls_s30", "int16", 0, (0, 3000)),
        ("modis_sr", "int16", 0, (0, 3000)),
        ("thermal", "float32", 0, (260, 330)),
        ("thermal", "float32", 1, (-13.15, 56.85)),
        ("thermal", "uint16", 0, (32475.1, 52954.9)),
        ("thermal", "uint16", 1, (13000, 16500)),
    ],
)
def test_numbers_are_converted_to_physical_values_as_the_operator_documents(
    name: str, dtype: str, rule: int, stored: tuple[float, float]
) -> None:
    found = profile_named(name).rules_for(dtype)[rule]
    assert (found.stored(found.low), found.stored(found.high)) == pytest.approx(stored, rel=1e-4)


def test_radar_profiles_have_frequency_and_polarisation() -> None:
    for name, ghz in (("sentinel1", 5.405), ("sar_x", 9.6)):
        vh = profile_named(name).band("VH")
        assert (vh.frequency_ghz, vh.polarisation) == (ghz, "VH")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "TOMLDecodeError"),
        ('title = "x"\ncollection = "x"', "scaling"),
        ('title = "x"\ncollection = "x"\n[scaling.uint8]\nkind = "as_is"', "scaling.default"),
        ('title = "x"\ncollection = "x"\nproduct = "("\n[scaling.default]\nkind = "as_is"', "unterminated subpattern"),
        (
            'title = "x"\ncollection = "x"\nbands = [{ name = "b" }]\n[scaling.default]\nkind = "as_is"',
            "wavelength_um",
        ),
        (f'{HEAD}bands = [{{ name = "b", wavelength_um = 665 }}]\n{TAIL}', "need µm"),
        (f'{HEAD}bands = [{{ name = "b", wavelength_um = 0.1 }}]\n{TAIL}', "need 0.2 to 300 µm"),
        (f'{HEAD}bands = [{{ name = "b", wavelength_um = "0.6" }}]\n{TAIL}', "wavelength_um is '0.6'; need a number"),
        (f'{HEAD}bands = [{{ name = "b", wavelength_um = 0.6, file = 5 }}]\n{TAIL}', "file is 5; need a pattern"),
        (f'{HEAD}min_bands = "3"\n{TAIL}', "min_bands is '3'; need a whole number"),
        (f"{HEAD}fill_values = 0\n{TAIL}", "fill_values is 0; need a list"),
        (f"{HEAD}bands = [{BAND}, {BAND}]\n{TAIL}", "two bands have the same name"),
        (f'{HEAD}colour = "red"\n{TAIL}', "unknown colour"),
        (f'{HEAD}default_bands = ["b"]\n{TAIL}', "b used in default_bands"),
        (f'{HEAD}[scaling.default]\nkind = "log"', "kind 'log'"),
        (f'{HEAD}[scaling.default]\nkind = "linear"\nlow = 2\nhigh = 1', "need low < high"),
        (f'{HEAD}[scaling.default]\nkind = "linear"\nscale = 0', "need a positive number"),
        (f'{HEAD}[scaling.default]\nkind = "linear"\nto_db = "volt"', "need amplitude or power"),
    ],
)
def test_a_broken_profile_is_refused_by_its_file(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SensorError, match=rf"mine\.toml.*{says}"):
        module._read(path)


def test_a_folder_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match=r"no \*\.toml in it"):
        load_profiles(tmp_path)
    with pytest.raises(SensorError, match="no such folder"):
        load_profiles(tmp_path / "nowhere")


def test_every_profile_can_be_shown() -> None:
    lines = list(profile_lines(PROFILES))
    assert len(lines) == len(PROFILES)
    for profile, line in zip(PROFILES, lines, strict=True):
        text = profile_text(profile)
        assert line.startswith(profile.name)
        assert all(band.name in text and f"{band.wavelength_um:g} µm" in text for band in profile.bands)
    assert "K = stored × 0.00341802 + 149" in profile_text(profile_named("thermal"))
    assert "5.405 GHz VH" in profile_text(profile_named("sentinel1"))
