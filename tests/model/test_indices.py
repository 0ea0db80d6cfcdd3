"""Spectral indices as features: water, plants and snow are told by their spectra, in any list of bands."""

import pytest
import torch

from bandsight.model.indices import SpectralIndices

S2_UM = (0.49, 0.56, 0.665, 0.842, 1.61, 2.19)
# Of 0.3, as reflectance is stretched.
SPECTRA = {
    "water": (0.20, 0.17, 0.10, 0.05, 0.02, 0.02),
    "plants": (0.08, 0.18, 0.10, 0.95, 0.50, 0.25),
    "soil": (0.30, 0.40, 0.55, 0.70, 0.90, 0.80),
    "snow": (1.0, 1.0, 1.0, 1.0, 0.15, 0.1),
}


def tile(name, keep=range(6), size=64):
    values = torch.tensor(SPECTRA[name])[list(keep)]
    return (values.view(1, -1, 1, 1).expand(1, -1, size, size).contiguous() - 0.5) / 0.5


def seen(name, keep=range(6), size=64):
    stage = SpectralIndices()
    stage.use([S2_UM[band] for band in keep])
    return stage(tile(name, keep, size))[0]


def share_above(features, index, level):
    """Share of pixels whose index (ndvi, ndwi, mndwi, ndbi) is above a level."""
    names = ("ndvi", "ndwi", "mndwi", "ndbi")
    return features[names.index(index) * len(SpectralIndices.levels) + SpectralIndices.levels.index(level)].item()


def test_water_plants_soil_and_snow_are_told_apart():
    assert share_above(seen("water"), "ndwi", 0.2) == 1
    assert share_above(seen("plants"), "ndwi", 0.0) == 0
    assert share_above(seen("plants"), "ndvi", 0.6) == 1
    assert share_above(seen("soil"), "ndvi", 0.4) == 0
    assert share_above(seen("soil"), "ndbi", 0.0) == 1
    assert share_above(seen("snow"), "mndwi", 0.6) == 1


def test_half_a_lake_is_half_above():
    stage = SpectralIndices()
    stage.use(S2_UM)
    both = torch.cat([tile("water")[..., :32], tile("plants")[..., 32:]], dim=3)
    assert share_above(stage(both)[0], "ndwi", 0.2) == pytest.approx(0.5)
    cells = stage.forward_features(both)
    assert cells.shape == (1, stage.num_features, 2, 2)
    torch.testing.assert_close(cells.mean(dim=(2, 3)), stage(both))


def test_red_green_blue_alone_say_nothing_and_the_order_of_bands_is_free():
    assert not seen("plants", keep=(2, 1, 0)).any()
    torch.testing.assert_close(seen("plants", keep=(5, 3, 0, 2, 4, 1)), seen("plants"))


@pytest.mark.parametrize("size", [33, 100, 144])
def test_any_size_will_do(size):
    torch.testing.assert_close(seen("water", size=size), seen("water"))
