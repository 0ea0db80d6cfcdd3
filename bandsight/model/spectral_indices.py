"""Spectral indices as image features: the share of water, vegetation, bare ground and snow."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bandsight.model.patch_embed import WavelengthInput


class SpectralIndices(WavelengthInput):
    """Shares of pixels whose normalised differences and brightness exceed fixed levels; nothing is learned.

    The indices are NDVI (Rouse et al., 1974) for vegetation, NDWI (McFeeters, 1996) and MNDWI (Xu, 2006) for water,
    MNDWI also for snow because it equals NDSI, and NDBI (Zha et al., 2003) for built-up and bare ground. An index whose
    bands are missing is 0, so all features of an RGB image are 0. The features go to the head together with those of
    learned trunks. Pixels must be scaled as (value - 0.5) / 0.5.
    """

    # Green, red, near and shortwave infrared, µm, and the tolerance for a band, in log-wavelength.
    anchors = (0.56, 0.665, 0.842, 1.61)
    width = 0.06
    _green, _red, _nir, _swir = range(4)
    # Each index as (first band, second band): (first - second) / (first + second).
    pairs = ((_nir, _red), (_green, _nir), (_green, _swir), (_swir, _nir))
    levels = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
    # (band, required band): brightness of a band, used only if the other band is present.
    bright = ((_red, _nir), (_nir, _red), (_swir, _nir))
    bright_levels = (0.05, 0.12, 0.25, 0.45, 0.7)
    # Width of the soft step at a level, and the term that suppresses noise of dark pixels in an index.
    _index_step, _bright_step, _dark = 0.1, 0.06, 0.03
    # Pixels per cell, equal to the stride of the learned trunks.
    _cell = 32

    def __init__(self) -> None:
        super().__init__()
        self.num_features = len(self.pairs) * len(self.levels) + len(self.bright) * len(self.bright_levels)

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return a kernel (4, C, 1, 1) that selects the four bands, and the degree of presence of each, 0..1."""
        anchors = torch.tensor(self.anchors, dtype=torch.float32, device=wavelengths.device).log()
        squared = (anchors[:, None] - wavelengths.log()[None, :]) ** 2 / (2 * self.width**2)
        return torch.softmax(-squared, dim=1)[:, :, None, None], torch.exp(-squared.amin(dim=1))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the features of cells (N, num_features, h, w) of images (N, C, H, W) in -1..1."""
        kernel, presence = self.kernel(x.device)
        assert presence is not None
        size = (math.ceil(x.shape[2] / self._cell), math.ceil(x.shape[3] / self._cell))
        gates = torch.stack([presence[a] * presence[b] for a, b in (*self.pairs, *self.bright)])
        if float(gates.max()) < 1e-3:  # noqa: PLR2004
            return x.new_zeros(len(x), self.num_features, *size)
        # Half the resolution is enough for shares and takes a quarter of the time.
        bands = functional.conv2d(functional.avg_pool2d(x * 0.5 + 0.5, 2, ceil_mode=True), kernel)
        maps = []
        for (a, b), gate in zip(self.pairs, gates, strict=False):
            index = (bands[:, a] - bands[:, b]) / (bands[:, a] + bands[:, b] + self._dark)
            maps += [gate * ((index - level) / self._index_step + 0.5).clamp(0, 1) for level in self.levels]
        for (a, _), gate in zip(self.bright, gates[len(self.pairs) :], strict=True):
            maps += [
                gate * ((bands[:, a] - level) / self._bright_step + 0.5).clamp(0, 1) for level in self.bright_levels
            ]
        return functional.adaptive_avg_pool2d(torch.stack(maps, dim=1), size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, num_features) of images (N, C, H, W): the mean over the cells."""
        return self.forward_features(x).mean(dim=(2, 3))
