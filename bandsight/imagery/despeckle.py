"""Speckle filter for radar, for display only.

The Lee filter: a local mean that keeps more of the pixel itself where the local variance exceeds that of speckle, as at
an edge, ship or roof (Lee, "Digital image enhancement and noise filtering by use of local statistics", 1980).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# Side of the window, pixels of the scene.
_WINDOW_PX = 7
# Number of looks of a GRD product (ESA, Sentinel-1 product specification: 4.4 for IW, high resolution), and of images
# derived from amplitudes, assumed single-look.
_LOOKS, _PICTURE_LOOKS = 4.4, 1.0


def despeckle_radius(step: float) -> int:
    """Return the filter radius in pixels of an image that has one pixel per `step` scene pixels."""
    return max(0, round((_WINDOW_PX / step - 1) / 2))


def despeckled(
    values: NDArray[np.float32], seen: NDArray[np.bool_], radius: int, *, decibel: bool
) -> NDArray[np.float32]:
    """Return backscatter with less speckle, in the same unit, shape (rows, columns).

    Args:
        values: Backscatter, shape (rows, columns).
        seen: Valid pixels, shape (rows, columns); others are ignored.
        radius: Filter radius, pixels; 0 for no filtering.
        decibel: Whether the values are dB; otherwise amplitudes.
    """
    if radius == 0:
        return values
    power = np.where(seen, 10 ** (values.astype(np.float64) / 10) if decibel else values.astype(np.float64) ** 2, 0)
    count = np.maximum(box_sum(seen.astype(np.float64), radius), 1)
    mean = box_sum(power, radius) / count
    variance = np.maximum(box_sum(power**2, radius) / count - mean**2, 0)
    noise = 1 / (_LOOKS if decibel else _PICTURE_LOOKS)
    # Fraction of the variance that is not speckle.
    own = np.maximum(variance - noise * mean**2, 0) / np.maximum(variance * (1 + noise), 1e-30)
    smooth = mean + own * (power - mean)
    made = 10 * np.log10(np.maximum(smooth, 1e-12)) if decibel else np.sqrt(np.maximum(smooth, 0))
    return np.where(seen, made, values).astype(np.float32)


def box_sum(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Return the sum over the square around each pixel, shape (rows, columns), with zeros beyond the edges."""
    width = 2 * radius + 1
    # Not by cumulative sums, which lose precision in dark areas next to bright ones.
    rows = sliding_window_view(np.pad(values, radius), width, axis=0).sum(axis=-1)
    return np.asarray(sliding_window_view(rows, width, axis=1).sum(axis=-1))
