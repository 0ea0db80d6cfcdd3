"""Spectral constants of the input stages, shared by the PyTorch and NumPy implementations."""

# Anchors of a first convolution, µm. Blue, green and red start from pretrained kernels; 5.405 is the code of SAR.
ANCHORS = (0.443, 0.49, 0.56, 0.665, 0.705, 0.74, 0.783, 0.842, 0.945, 1.375, 1.61, 2.2, 3.9, 5.405, 11.0)
RED, GREEN, BLUE = 3, 2, 1
# Widths in log-wavelength: 5% separates blue (0.49) from green (0.56); 6% passes variants of the same band.
REGRESSION_WIDTH = 0.05
GATE_WIDTH = 0.06

# Green, red, near and shortwave infrared of the indices, µm, and the tolerance for a band, in log-wavelength.
INDEX_ANCHORS = (0.56, 0.665, 0.842, 1.61)
INDEX_WIDTH = 0.06
_GREEN, _RED, _NIR, _SWIR = range(4)
# Each index as (first band, second band): (first - second) / (first + second).
PAIRS = ((_NIR, _RED), (_GREEN, _NIR), (_GREEN, _SWIR), (_SWIR, _NIR))
LEVELS = (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
# (band, required band): brightness of a band, used only if the other band is present.
BRIGHT = ((_RED, _NIR), (_NIR, _RED), (_SWIR, _NIR))
BRIGHT_LEVELS = (0.05, 0.12, 0.25, 0.45, 0.7)
# Width of the soft step at a level, and the term that suppresses noise from dark pixels in an index.
INDEX_STEP, BRIGHT_STEP, DARK = 0.1, 0.06, 0.03
# Pixels per cell, equal to the stride of the learned trunks.
CELL_PX = 32
# If no index has its bands present to this degree, all features are 0.
ABSENT = 1e-3
