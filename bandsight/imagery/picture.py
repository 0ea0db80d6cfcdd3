"""A picture with its transparent parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture with its transparent parts."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""
    seen: NDArray[np.bool_]
    """Where it shows something, (rows, columns)."""

    def rgba(self) -> NDArray[np.uint8]:
        """Return it with an alpha channel, (rows, columns, 4); nothing is nothing, not black."""
        alpha = np.where(self.seen, 255, 0).astype(np.uint8)
        return np.dstack([self.rgb * self.seen[..., None], alpha])
