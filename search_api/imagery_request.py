"""Parameters of pictures: which bands, which stretch, which colours."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Scene
from bandsight.errors import NotFoundError, QueryError
from bandsight.imagery.rendering import RenderSpec, render_spec

_MOST_RANGES = 3
_PAIR = 2


@dataclass(kw_only=True)
class LookUrl:
    """How a scene is shown; what is left out comes from its sensor."""

    style: Annotated[str | None, Query(max_length=200, description="A name from `styles`")] = None
    bands: Annotated[
        str | None, Query(max_length=1000, description="One band, or three for red, green and blue; not beside style")
    ] = None
    rescale: Annotated[
        str | None,
        Query(
            max_length=200,
            description="low,high that become 0 and 255, for all bands or for each; stored numbers, of radar dB",
            examples=["0,3000"],
        ),
    ] = None
    colormap: Annotated[
        str | None, Query(max_length=50, description="Colours of a single band, e.g. inferno", examples=["inferno"])
    ] = None

    def of(self, scene: Scene, *, own_stretch: bool = False) -> RenderSpec:
        """Return how a scene is shown.

        Raises:
            QueryError: A parameter cannot be read, or the scene has no such style or band.
        """
        bands = None if self.bands is None else [part.strip() for part in self.bands.split(",")]
        return render_spec(
            scene,
            style=self.style,
            bands=bands,
            rescale=None if self.rescale is None else _ranges(self.rescale),
            colormap=self.colormap,
            own_stretch=own_stretch,
        )

    def if_any(self, scene: Scene) -> RenderSpec | None:
        """Return how a scene is shown, None where it has no such style or band."""
        try:
            return self.of(scene)
        except QueryError:
            return None


@dataclass(kw_only=True)
class MapUrl(LookUrl):
    """How a scene is shown on a map."""

    size: Annotated[Literal["256", "512"], Query(description="Pixels along each side of a tile")] = "256"


def scene_number(text: str) -> int:
    """Return the number of a scene from `N` or `scene-N`.

    Raises:
        NotFoundError: It cannot be one.
    """
    number = int(text.removeprefix("scene-"))
    if number > MAX_ID:
        raise NotFoundError(f"scene {text!r}: this archive holds no such scene; ids come from a search")
    return number


def _ranges(text: str) -> list[tuple[float, float]]:
    how = "need low,high with low < high, once for all bands or once for each, e.g. 0,3000"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"rescale: found {text[:60]!r}, no numbers; {how}") from error
    if len(numbers) % _PAIR or not 0 < len(numbers) <= _PAIR * _MOST_RANGES:
        raise QueryError(f"rescale: found {len(numbers)} numbers; {how}")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    # Also false for what is no number.
    if not all(-1e30 < low < high < 1e30 for low, high in pairs):  # noqa: PLR2004
        raise QueryError(f"rescale: found {text[:60]!r}; {how}")
    return pairs
