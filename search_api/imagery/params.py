"""Path and query parameters of the imagery routes: ids, map tiles, bands, stretch and colours."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Path, Query

from bandsight.attributes.fields import MAX_ID
from bandsight.catalog.records import Scene
from bandsight.errors import NotFoundError, QueryError
from bandsight.imagery.map_tiles import MAX_ZOOM
from bandsight.imagery.params import parse_spec
from bandsight.imagery.rendering import RenderSpec

TileId = Annotated[int, Path(ge=0, le=MAX_ID, description="Id of a tile, from a search")]
SceneId = Annotated[str, Path(pattern=r"^(scene-)?\d{1,19}$", description="Id of a scene, N or scene-N")]
CollectionId = Annotated[str, Path(max_length=1000, description="Name of a collection of tiles")]
Zoom = Annotated[int, Path(ge=0, le=MAX_ZOOM, description="Zoom level")]
TileIndex = Annotated[
    int, Path(ge=0, lt=2**MAX_ZOOM, description="Column or row of the map tile, from the north-west corner")
]


@dataclass(kw_only=True)
class RenderParams:
    """Rendering parameters of a scene. The sensor profile provides defaults."""

    style: Annotated[str | None, Query(max_length=200, description="Name of a style, from `styles`")] = None
    bands: Annotated[
        str | None,
        Query(max_length=1000, description="One band, or three for red, green and blue; cannot be combined with style"),
    ] = None
    rescale: Annotated[
        str | None,
        Query(
            max_length=200,
            description="low,high to map to 0 and 255, once for all bands or once for each; stored values, dB for "
            "radar",
            examples=["0,3000"],
        ),
    ] = None
    colormap: Annotated[
        str | None, Query(max_length=50, description="Colour map for a single band, e.g. inferno", examples=["inferno"])
    ] = None

    @property
    def default(self) -> bool:
        """Whether scenes are shown in their default style."""
        return self.style is self.bands is self.rescale is self.colormap is None

    def render_spec(self, scene: Scene, *, own_stretch: bool = False) -> RenderSpec:
        """Return how to render a scene.

        Args:
            scene: The scene.
            own_stretch: Stretch each picture to its own values instead of the scene's range.

        Raises:
            QueryError: A parameter is invalid, or the scene has no such style or band.
        """
        return parse_spec(scene, self.style, self.bands, self.rescale, self.colormap, own_stretch=own_stretch)

    def render_spec_or_none(self, scene: Scene) -> RenderSpec | None:
        """Return how to render a scene, or None where the scene has no such style or band."""
        try:
            return self.render_spec(scene)
        except QueryError:
            return None


@dataclass(kw_only=True)
class MapTileSize:
    """The size of map tiles."""

    size: Annotated[Literal["256", "512"], Query(description="Width and height of a map tile in pixels")] = "256"


@dataclass(kw_only=True)
class MapRenderParams(MapTileSize, RenderParams):
    """How to render a scene as map tiles."""


SizeDep = Annotated[MapTileSize, Depends()]
RenderParamsDep = Annotated[RenderParams, Depends()]
MapRenderParamsDep = Annotated[MapRenderParams, Depends()]


def scene_number(text: str) -> int:
    """Return the number of a scene from `N` or `scene-N`.

    Raises:
        NotFoundError: The number is larger than any id.
    """
    number = int(text.removeprefix("scene-"))
    if number > MAX_ID:
        raise NotFoundError(f"scene {text!r}: this archive has no such scene; ids come from a search")
    return number
