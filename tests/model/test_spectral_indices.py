"""Spectral indices as features separate water, vegetation, soil and snow, for any list of bands."""

import pytest
import torch

from bandsight.model.spectra import LEVELS
from bandsight.model.spectral_indices import SpectralIndices

S2_UM = (0.49, 0.56, 0.665, 0.842, 1.61, 2.19)
# Reflectance divided by 0.3.
SPECTRA = {
    "water": (0.20, 0.17, 0.10, 0.05, 0.02, 0.02),
    "vegetation": (0.08, 0.18, 0.10, 0.95, 0.50, 0.25),
    "soil": (0.30, 0.40, 0.55, 0.70, 0.90, 0.80),
    "snow": (1.0, 1.0, 1.0, 1.0, 0.15, 0.1),
}


def tile(name, keep=range(6), size=64):
    values = torch.tensor(SPECTRA[name])[list(keep)]
    return (values.view(1, -1, 1, 1).expand(1, -1, size, size).contiguous() - 0.5) / 0.5


def features_of(name, keep=range(6), size=64):
    stage = SpectralIndices()
    stage.use([S2_UM[band] for band in keep])
    return stage(tile(name, keep, size))[0]


def share_above(features, index, level):
    """Share of pixels whose index (ndvi, ndwi, mndwi, ndbi) is above a level."""
    names = ("ndvi", "ndwi", "mndwi", "ndbi")
    return features[names.index(index) * len(LEVELS) + LEVELS.index(level)].item()


def test_water_vegetation_soil_and_snow_have_different_features():
    assert share_above(features_of("water"), "ndwi", 0.2) == 1
    assert share_above(features_of("vegetation"), "ndwi", 0.0) == 0
    assert share_above(features_of("vegetation"), "ndvi", 0.6) == 1
    assert share_above(features_of("soil"), "ndvi", 0.4) == 0
    assert share_above(features_of("soil"), "ndbi", 0.0) == 1
    assert share_above(features_of("snow"), "mndwi", 0.6) == 1


def test_half_water_gives_a_share_of_one_half():
    stage = SpectralIndices()
    stage.use(S2_UM)
    both = torch.cat([tile("water")[..., :32], tile("vegetation")[..., 32:]], dim=3)
    assert share_above(stage(both)[0], "ndwi", 0.2) == pytest.approx(0.5)
    cells = stage.forward_features(both)
    assert cells.shape == (1, stage.num_features, 2, 2)
    torch.testing.assert_close(cells.mean(dim=(2, 3)), stage(both))


def test_rgb_gives_zeros_and_band_order_does_not_matter():
    assert not features_of("vegetation", keep=(2, 1, 0)).any()
    torch.testing.assert_close(features_of("vegetation", keep=(5, 3, 0, 2, 4, 1)), features_of("vegetation"))


@pytest.mark.parametrize("size", [33, 100, 144])
def test_features_do_not_depend_on_the_size(size):
    torch.testing.assert_close(features_of("water", size=size), features_of("water"))
