import numpy as np
import pytest

from bandsight.sensors.profile import profile_named
from bandsight.sensors.quality import Quality


def _of(profile: str, position: int = 0) -> Quality:
    return profile_named(profile).quality[position]


@pytest.mark.parametrize(
    ("quality", "cloudy", "clear", "empty"),
    [
        # ESA: 3 shadow, 8 and 9 cloud, 10 cirrus; 4 vegetation, 5 bare, 6 water, 7 unclassified, 11 snow; 0, 1 no data.
        (_of("sentinel2_l2a"), [3, 8, 9, 10], [2, 4, 5, 6, 7, 11], [0, 1]),
        # USGS's own examples of Collection 2 QA_PIXEL: 21824 clear, 22280 cloud, 23888 shadow, 54596 cirrus, 1 fill.
        (_of("landsat89"), [22280, 23888, 54596, 55052], [21824, 21952, 30048], [1]),
        # Collection 1: 2720 clear, 2800 cloud, 2976 shadow, 6816 cirrus (USGS, Landsat 8 quality band).
        (_of("landsat89", 1), [2800, 2976, 6816], [2720, 2724], [1]),
        # Before the collections: 53248 cloud, 28672 cirrus; 20480 clear.
        (_of("landsat89", 2), [53248, 61440, 28672], [20480, 36864], [1]),
        (_of("landsat45_tm", 1), [752, 928], [672], [1]),
        # HLS: 64 clear (low aerosol); 66 cloud, 68 beside, 72 shadow.
        (_of("hls_s30"), [66, 68, 72], [64, 96, 224], [255]),
        # MOD09 state: 0 clear, 1 cloudy, 2 mixed, 3 assumed clear, 4 shadow.
        (_of("modis_sr"), [1, 2, 4], [0, 3, 8], []),
    ],
)
def test_quality_values_mean_what_the_operator_documents(
    quality: Quality, cloudy: list[int], clear: list[int], empty: list[int]
) -> None:
    assert quality.cloudy(np.array(cloudy)).all()
    assert not quality.cloudy(np.array(clear)).any()
    assert quality.empty(np.array(empty, int)).all()
    assert not quality.empty(np.array(cloudy + clear)).any()


def test_masks_have_the_shape_of_their_input() -> None:
    assert _of("sentinel2_l2a").cloudy(np.zeros((3, 5), np.uint8)).shape == (3, 5)
