"""One page of results for export."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VECTOR = "bandsight:vector"
"""The property that holds a tile's vector."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One page of results."""

    items: list[dict[str, Any]]
    """STAC Items."""
    vectors: list[NDArray[np.float32] | None] | None
    """Vector of each item's tile, shape (dim,), None for a scene; None if no vectors were requested."""

    def items_with_vectors(self) -> list[dict[str, Any]]:
        """Return the items, with vectors as property `VECTOR` if they were requested."""
        if self.vectors is not None:
            for item, vector in zip(self.items, self.vectors, strict=True):
                if vector is not None:
                    item["properties"][VECTOR] = vector.tolist()
        return self.items
