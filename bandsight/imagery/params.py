"""Rendering parameters as text: bands, stretch and colours."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bandsight.catalog.records import Scene
from bandsight.errors import QueryError
from bandsight.imagery.rendering import RenderSpec, render_spec

Stretch = Literal["scene", "tile"]
MIN_SIZE, MAX_SIZE = 16, 1024
"""Range of thumbnail sizes, pixels."""
_MAX_RANGES = 3
_PAIR = 2


class ThumbnailParams(BaseModel):
    """Rendering parameters of a thumbnail."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(default=256, ge=MIN_SIZE, le=MAX_SIZE)
    style: str | None = None
    bands: str | None = None
    rescale: str | None = None
    colormap: str | None = None
    stretch: Stretch = "scene"

    def spec(self, scene: Scene) -> RenderSpec:
        """Return how to render a tile of a scene; see `parse_spec`."""
        return parse_spec(
            scene, self.style, self.bands, self.rescale, self.colormap, own_stretch=self.stretch == "tile"
        )


def parse_spec(
    scene: Scene,
    style: str | None,
    bands: str | None,
    rescale: str | None,
    colormap: str | None,
    *,
    own_stretch: bool = False,
) -> RenderSpec:
    """Parse rendering parameters.

    Args:
        scene: The scene.
        style: Name of one of its styles.
        bands: Names of one band or three, separated by commas.
        rescale: `low,high` mapped to 0 and 255, once or for each band.
        colormap: Colormap for a single band.
        own_stretch: Stretch to the values in the image.

    Raises:
        QueryError: A parameter is invalid, or the scene has no such style or band.
    """
    return render_spec(
        scene,
        style=style,
        bands=None if bands is None else [part.strip() for part in bands.split(",")],
        rescale=None if rescale is None else _ranges(rescale),
        colormap=colormap,
        own_stretch=own_stretch,
    )


def _ranges(text: str) -> list[tuple[float, float]]:
    how = "need low,high with low < high, once for all bands or for each, e.g. 0,3000"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"rescale: found {text[:60]!r}, which is not a list of numbers; {how}") from error
    if len(numbers) % _PAIR or not 0 < len(numbers) <= _PAIR * _MAX_RANGES:
        raise QueryError(f"rescale: found {len(numbers)} numbers; {how}")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    # False for NaN too.
    if not all(-1e30 < low < high < 1e30 for low, high in pairs):  # noqa: PLR2004
        raise QueryError(f"rescale: found {text[:60]!r}; {how}")
    return pairs
