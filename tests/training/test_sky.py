"""Simulated clouds and snow over any bands."""

import numpy as np

from training.ground import ground
from training.sky import clouds, snow

BANDS = (0.49, 0.56, 0.665, 0.842, 1.61, 10.9)
SIZE = 32
GREEN, NIR, SWIR, HEAT = 1, 3, 4, 5


def drawn(make, n=60):
    rng = np.random.default_rng(3)
    return [make(SIZE, BANDS, rng) for _ in range(n)]


def test_snow_is_dark_in_shortwave_infrared_and_clouds_are_not():
    grass = np.full((len(BANDS), SIZE, SIZE), 0.2, np.float32)
    for cover in drawn(snow):
        full = cover.opacity.min(axis=0) > 0.99
        seen = cover.over(grass)[:, full].mean(axis=1) if full.any() else None
        assert seen is None or (seen[GREEN] > 0.7 and seen[SWIR] < 0.2)
    for cover in drawn(clouds):
        assert cover.white[SWIR] > 0.5
        assert cover.white[HEAT] < 0.1


def test_the_label_of_a_cloudy_place_depends_on_the_covered_share():
    called = {"cloud": [], "some_cloud": [], "clear": [], None: []}
    for cover in drawn(clouds, 200):
        called[cover.label].append(float(cover.opacity[GREEN].mean()))
    assert all(called.values())
    assert min(called["some_cloud"]) > max(called["clear"])
    assert max(called["some_cloud"]) <= min(called["cloud"])


def test_thin_clouds_obscure_short_wavelengths_more():
    for cover in drawn(clouds):
        mean = cover.opacity.mean(axis=(1, 2))
        assert mean[0] >= mean[GREEN] - 1e-6 >= mean[NIR] - 2e-6
        assert cover.opacity.min() >= 0
        assert cover.opacity.max() <= 1


def test_ground_under_snow_is_dark_in_shortwave_infrared_in_its_own_bands_too():
    rng = np.random.default_rng(8)
    ratios = {"snow": [], "cloud": []}
    for _ in range(40):
        made = ground(8, SIZE, rng, weather=5)
        waves = np.array(made.wavelengths)
        if waves.max() < 1.5 or waves.min() > 0.6:
            continue
        green, swir = int(np.abs(waves - 0.56).argmin()), int(np.abs(waves - 1.61).argmin())
        for view, label in zip(made.views, made.labels, strict=True):
            if label in ratios:
                ratios[label].append(float(view[swir].mean() / view[green].mean()))
    assert np.median(ratios["snow"]) < 0.6 < np.median(ratios["cloud"])
