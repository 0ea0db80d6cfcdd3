"""What spectral indices say of an image: how much of it has the spectrum of water, plants, bare ground or snow."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from bandsight.model.patch_embed import WavelengthInput


class SpectralIndices(WavelengthInput):
    """Shares of pixels whose normalised differences and brightness exceed some levels; nothing here is learned.

    The indices are those of the field: NDVI (Rouse et al., 1974) for plants, NDWI (McFeeters, 1996) and MNDWI (Xu,
    2006) for water and, being the same as NDSI, snow, NDBI (Zha et al., 2003) for built-up and bare ground. An index
    whose bands are missing is 0 throughout, so an image in red, green and blue has nothing here. Stands beside learned
    trunks, whose head reads it with the rest; needs pixels as (value - 0.5) / 0.5.
    """

    # Green, red, near infrared, shortwave infrared, µm, and how far off a band may lie, in log-wavelength.
    anchors = (0.56, 0.665, 0.842, 1.61)
    width = 0.06
    _green, _red, _nir, _swir = range(4)
    # Each index as (first band, second band): (first - second) / (first + second).
    pairs = ((_nir, _red), (_green, _nir), (_green, _swir), (_swir, _nir))
    levels = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
    # Brightness is told by levels too; of visible bands only where infrared is there.
    bright = ((_red, _nir), (_nir, _red), (_swir, _nir))
    bright_levels = (0.05, 0.12, 0.25, 0.45, 0.7)
    # Over what span a level is passed; what keeps dark pixels' noise from being an index.
    _index_step, _bright_step, _dark = 0.1, 0.06, 0.03
    # Pixels per cell: the stride of the trunks it stands beside.
    _cell = 32

    def __init__(self) -> None:
        super().__init__()
        self.num_features = len(self.pairs) * len(self.levels) + len(self.bright) * len(self.bright_levels)

    def generate(self, wavelengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return a kernel (4, C, 1, 1) that reads the four bands out of any list, and how far each is there, 0 to 1."""
        anchors = torch.tensor(self.anchors, dtype=torch.float32, device=wavelengths.device).log()
        squared = (anchors[:, None] - wavelengths.log()[None, :]) ** 2 / (2 * self.width**2)
        return torch.softmax(-squared, dim=1)[:, :, None, None], torch.exp(-squared.amin(dim=1))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the features of cells (N, num_features, h, w) of images (N, C, H, W) in -1..1."""
        kernel, there = self.kernel(x.device)
        assert there is not None
        size = (math.ceil(x.shape[2] / self._cell), math.ceil(x.shape[3] / self._cell))
        gates = torch.stack([there[a] * there[b] for a, b in (*self.pairs, *self.bright)])
        if float(gates.max()) < 1e-3:  # noqa: PLR2004
            return x.new_zeros(len(x), self.num_features, *size)
        # Half the resolution is enough for shares, and a quarter of the work.
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
        """Return the features (N, num_features) of whole images (N, C, H, W): the mean over their cells."""
        return self.forward_features(x).mean(dim=(2, 3))
