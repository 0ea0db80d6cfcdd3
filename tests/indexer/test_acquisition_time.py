"""Acquisition times: their sources, by priority."""

from pathlib import Path

import pytest

from indexer.acquisition_time import acquired, time_in_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HLS.L30.T17SLU.2020117T160901.v2.0.B02.tif", "2020-04-26T16:09:01+00:00"),
        ("MOD09A1.A2020001.h18v03.061.2020010224400.sur_refl_b01.tif", "2020-01-01T00:00:00+00:00"),
        ("s1a-iw-grd-vv-20210101t043253-20210101t043318-035946-0435ca-001.tif", "2021-01-01T04:32:53+00:00"),
        ("PRS_L2D_STD_20200725103423_20200725103427_0001", "2020-07-25T10:34:23+00:00"),
        ("ang20210530t101445_rfl_v2z1", "2021-05-30T10:14:45+00:00"),
        ("ortho_20200105_101112.tif", "2020-01-05T10:11:12+00:00"),
        ("LC08_L1TP_016040_20220101_20220122_02_T1_B2.TIF", "2022-01-01T00:00:00+00:00"),
        ("LT52240631988227CUB02_B1.TIF", "1988-08-14T00:00:00+00:00"),
        ("m_3907864_sw_17_060_20210912_downsampled.tif", "2021-09-12T00:00:00+00:00"),
        ("20230101_101010_00_2468_3B_AnalyticMS.tif", "2023-01-01T10:10:10+00:00"),
        ("EMIT_L2A_RFL_001_20220903T163129_2224611_012.nc", "2022-09-03T16:31:29+00:00"),
        ("S3A_OL_1_EFR____20200101T101517_20200101T101817.SEN3", "2020-01-01T10:15:17+00:00"),
        ("SkySat_PortArthur_s02_20170831T195425Z.tif", "2017-08-31T19:54:25+00:00"),
        ("20170831_195425_ssc1_u0001_analytic.tif", "2017-08-31T19:54:25+00:00"),
        ("S2B_MSIL2A_20220216T102101_N0400_R065_T33UUU_20220216T130911", "2022-02-16T10:21:01+00:00"),
        ("AST_L1T_00305032000040446_20150409135350_78838.VNIR.tif", "2000-05-03T04:04:46+00:00"),
        ("20190501_104523_45_1057_3B", "2019-05-01T10:45:23+00:00"),
        ("x_2020-05-01.tif", "2020-05-01T00:00:00+00:00"),
        ("IMG_PNEO3_20210101", "2021-01-01T00:00:00+00:00"),
        ("1234567890123456.tif", None),
        ("ENMAP01-____L2A-DT0000001049_20220612T105735Z_001", "2022-06-12T10:57:35+00:00"),
        ("tile_20201340.tif", None),
        ("m_4309961_ne_14_1_20120711_20121015.tif", "2012-07-11T00:00:00+00:00"),
        ("f970619t01p02r02", "1997-06-19T00:00:00+00:00"),
        ("MOD09A1.061_sur_refl_b01_doy2020117_aid0001", "2020-04-26T00:00:00+00:00"),
        ("VNP09H1.001_SurfReflect_I1_doy2020117160901_aid0001", "2020-04-26T16:09:01+00:00"),
        ("15AUG24101010-M2AS-500_P001", "2015-08-24T10:10:10+00:00"),
        ("2023-01-01-10-11-12_UMBRA-04_GEC", "2023-01-01T10:11:12+00:00"),
        ("2020-01-01-2020-01-31_mosaic", "2020-01-01T00:00:00+00:00"),
    ],
)
def test_names_of_products_state_when_they_were_taken(name, expected):
    found = time_in_name(name)
    assert (found.isoformat() if found else None) == expected


def test_the_folders_of_sentinel_2_on_aws_state_the_day():
    path = Path("/data/tiles/33/U/UU/2022/2/16/0/R10m/B02.jp2")
    when, by = acquired([path], {"TIFFTAG_DATETIME": "2023:07:01 09:00:00"})
    assert (when.isoformat(), by) == ("2022-02-16T00:00:00+00:00", "the file's folders")


def test_the_date_of_writing_counts_only_where_nothing_else_states_a_time():
    written = {"TIFFTAG_DATETIME": "2023:07:01 09:00:00"}
    assert str(acquired([Path("x/ortho_20200105_101112.tif")], written)[0]) == "2020-01-05 10:11:12+00:00"
    assert str(acquired([Path("S2A_20200105T101112/B02.tif")], written)[0]) == "2020-01-05 10:11:12+00:00"
    when, by = acquired([Path("x/ortho.tif")], written)
    assert (str(when), by) == ("2023-07-01 09:00:00+00:00", "TIFFTAG_DATETIME, the time the file was written")
    assert acquired([Path("x/ortho.tif")], {}) == (None, "")


def test_acquisition_tags_win_over_names():
    tags = {"ACQUISITIONDATETIME": "2019-01-01T00:00:00Z"}
    assert str(acquired([Path("x_20200105.tif")], tags)[0]) == "2019-01-01 00:00:00+00:00"
