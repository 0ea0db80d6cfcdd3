"""An RGB image with a mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An RGB image with a mask."""

    rgb: NDArray[np.uint8]
    """Shape (rows, columns, 3)."""
    seen: NDArray[np.bool_]
    """Visible pixels, shape (rows, columns)."""

    def rgba(self) -> NDArray[np.uint8]:
        """Return the image with an alpha channel, shape (rows, columns, 4)."""
        alpha = np.where(self.seen, 255, 0).astype(np.uint8)
        return np.dstack([self.rgb * self.seen[..., None], alpha])
