"""Spectral indices as image features: fractions of water, vegetation, bare ground and snow."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bandsight.model.patch_embed import WavelengthInput
from bandsight.model.spectra import (
    ABSENT,
    BRIGHT,
    BRIGHT_LEVELS,
    BRIGHT_STEP,
    CELL_PX,
    DARK,
    INDEX_ANCHORS,
    INDEX_STEP,
    INDEX_WIDTH,
    LEVELS,
    PAIRS,
)


class SpectralIndices(WavelengthInput):
    """Fractions of pixels whose normalised differences and brightness exceed fixed levels. Nothing is learned.

    The indices are NDVI (Rouse et al., 1974) for vegetation, NDWI (McFeeters, 1996) and MNDWI (Xu, 2006) for water,
    MNDWI also for snow because it equals NDSI, and NDBI (Zha et al., 2003) for built-up and bare ground. An index whose
    bands are missing is 0, so all features of an RGB image are 0. The head receives the features together with those of
    the learned trunks. Pixels must be scaled as (value - 0.5) / 0.5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_features = len(PAIRS) * len(LEVELS) + len(BRIGHT) * len(BRIGHT_LEVELS)

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return a kernel (4, C, 1, 1) that selects the four bands, and the degree of presence of each, 0..1."""
        anchors = torch.tensor(INDEX_ANCHORS, dtype=torch.float32, device=wavelengths.device).log()
        squared = (anchors[:, None] - wavelengths.log()[None, :]) ** 2 / (2 * INDEX_WIDTH**2)
        return torch.softmax(-squared, dim=1)[:, :, None, None], torch.exp(-squared.amin(dim=1))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the features of cells (N, num_features, h, w) of images (N, C, H, W) in -1..1."""
        kernel, presence = self.kernel(x.device)
        assert presence is not None
        size = (math.ceil(x.shape[2] / CELL_PX), math.ceil(x.shape[3] / CELL_PX))
        gates = torch.stack([presence[a] * presence[b] for a, b in (*PAIRS, *BRIGHT)])
        if float(gates.max()) < ABSENT:
            return x.new_zeros(len(x), self.num_features, *size)
        # Half the resolution is accurate enough and takes a quarter of the time.
        bands = functional.conv2d(functional.avg_pool2d(x * 0.5 + 0.5, 2, ceil_mode=True), kernel)
        maps = []
        for (a, b), gate in zip(PAIRS, gates, strict=False):
            index = (bands[:, a] - bands[:, b]) / (bands[:, a] + bands[:, b] + DARK)
            maps += [gate * ((index - level) / INDEX_STEP + 0.5).clamp(0, 1) for level in LEVELS]
        for (a, _), gate in zip(BRIGHT, gates[len(PAIRS) :], strict=True):
            maps += [gate * ((bands[:, a] - level) / BRIGHT_STEP + 0.5).clamp(0, 1) for level in BRIGHT_LEVELS]
        return functional.adaptive_avg_pool2d(torch.stack(maps, dim=1), size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, num_features) of images (N, C, H, W): the mean over the cells."""
        return self.forward_head(self.forward_features(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the features (N, num_features) of those of cells: their mean."""
        return features.mean(dim=(2, 3))
