"""Parameters of pictures: which bands, which stretch, which colours."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from bandsight.attributes.item_ids import MAX_ID
from bandsight.catalog.records import Scene
from bandsight.errors import NotFoundError, QueryError
from bandsight.imagery.params import parse_spec
from bandsight.imagery.rendering import RenderSpec


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
        return parse_spec(scene, self.style, self.bands, self.rescale, self.colormap, own_stretch=own_stretch)

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
