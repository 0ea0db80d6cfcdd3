"""Where in a tile something is: by the model's own cells, or by windows if these are too few."""

import numpy as np
import pytest

from bandsight.maps.highlights import located_vectors

WAVES = (0.66, 0.56, 0.48)


class Brightness:
    """Embeds a tile as its mean brightness; its cells all see the whole tile."""

    def __init__(self, cells):
        self.cells = cells
        self.windows = []

    def dense(self, pixels, wavelengths):
        return np.full((len(pixels), self.cells, self.cells, 1), pixels.mean(), np.float32)

    def embed_pixels(self, pixels, wavelengths):
        self.windows += [window.shape for window in pixels]
        return pixels.mean(axis=(1, 2, 3), keepdims=True)[..., 0, 0].astype(np.float32)


@pytest.mark.parametrize("size", [32, 100, 128])
@pytest.mark.parametrize("at", [(0.1, 0.1), (0.5, 0.6), (0.4, 0.9)], ids=["corner", "middle", "edge"])
def test_windows_find_what_the_few_cells_of_a_model_do_not(size, at):
    pixels = np.zeros((3, size, size), np.uint8)
    row, column = (int(part * size) for part in at)
    pixels[:, row - 2 : row + 3, column - 2 : column + 3] = 255
    encoder = Brightness(4)
    found = located_vectors(encoder, pixels, WAVES)[..., 0]
    assert found.shape == (8, 8)
    best = (np.argwhere(found == found.max()).mean(axis=0) + 0.5) / 8
    assert best == pytest.approx(at, abs=0.2)
    assert found.max() > found.min()
    assert len(encoder.windows) == 36
    assert {shape[0] for shape in encoder.windows} == {3}


def test_a_model_with_enough_cells_is_asked_once():
    encoder = Brightness(12)
    assert located_vectors(encoder, np.zeros((3, 128, 128), np.uint8), WAVES).shape == (12, 12, 1)
    assert encoder.windows == []
