"""Heat maps: the score of every tile for a query, painted at its location."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bandsight.errors import QueryError
from bandsight.geo.box import LonLatBox
from bandsight.maps import pictures
from bandsight.maps.legend import probability_marks
from bandsight.maps.rasterize import Canvas, Crs, TileBoxes
from bandsight.maps.request import HeatmapBody
from bandsight.maps.scores import PERCENTILES, ScoreCache, ScoreField
from bandsight.search.items import filter_of
from bandsight.search.question import Question, question_of
from bandsight.search.request import query_of_body
from bandsight.search.searcher import Searcher

_MAX_SCORE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreStyle:
    """How scores map to colours."""

    colormap: pictures.ColorMap = "magma"
    """The colour map."""
    rescale: tuple[float, float] | None = None
    """Scores of the first and last colour; None for percentiles 2 and 99.9."""
    fade: bool = False
    """Whether lower scores are more transparent."""

    def __post_init__(self) -> None:
        if self.rescale is None:
            return
        low, high = self.rescale
        if not -_MAX_SCORE <= low < high <= _MAX_SCORE:
            raise QueryError(f"rescale: found {low:g},{high:g}; need two scores, the lower one first")

    @classmethod
    def parse(cls, colormap: pictures.ColorMap, rescale: str | None) -> "ScoreStyle":
        """Return a style from URL parameters.

        Raises:
            QueryError: `rescale` is not two ascending numbers.
        """
        if rescale is None:
            return cls(colormap=colormap)
        try:
            low, high = (float(part) for part in rescale.split(","))
        except ValueError as error:
            raise QueryError(f"rescale: found {rescale[:60]!r}; need two numbers, e.g. 0.1,0.3") from error
        return cls(colormap=colormap, rescale=(low, high))

    def range_of(self, field: ScoreField) -> tuple[float, float]:
        """Return the scores of the first and last colour."""
        return self.rescale or field.range


@dataclass(frozen=True, slots=True, kw_only=True)
class MapExtent:
    """The area that a map shows, and its size."""

    box: LonLatBox | None = None
    """The area; None for all tiles."""
    width: int | None = None
    """Pixels; None for square pixels."""
    height: int | None = None
    """Pixels; None for square pixels."""
    crs: Crs = "EPSG:4326"
    """CRS of the map."""

    def canvas(self, boxes: TileBoxes) -> Canvas:
        """Return the grid of the map.

        Args:
            boxes: The tiles to show.

        Raises:
            QueryError: There is neither a box nor a tile, or the box has no extent.
        """
        box = self.box or boxes.box
        if box is None:
            raise QueryError("bbox, area: missing, and no tiles match these filters; pass a box to get an empty map")
        return Canvas.of_box(box, self.crs, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Heatmap:
    """The scores of a query, ready to be painted."""

    searcher: Searcher
    question: Question
    field: ScoreField

    @property
    def key(self) -> tuple[str, int]:
        """Cache key of this heat map."""
        return self.question.key, self.field.generation

    def png(self, canvas: Canvas, style: ScoreStyle) -> bytes:
        """Return the scores as PNG, transparent where there are no tiles."""
        scores = canvas.paint(self.field.boxes, self.field.scores)
        return pictures.png(scores, style.range_of(self.field), style.colormap, fade=style.fade)

    def geotiff(self, canvas: Canvas) -> bytes:
        """Return the scores as a GeoTIFF: float32, `pictures.NODATA` where there are no tiles."""
        tags = {"GENERATION": str(self.field.generation), "MODEL": self.searcher.archive.model.name}
        return pictures.geotiff(canvas.paint(self.field.boxes, self.field.scores), canvas, "score", tags)

    def marks(self) -> list[dict[str, Any]]:
        """Return scores and their probabilities; see `probability_marks`."""
        return probability_marks(self.searcher, self.question, self.field)

    def legend(self, style: ScoreStyle) -> dict[str, Any]:
        """Return the scores of the colours, and their probabilities if known."""
        return {
            "colormap": style.colormap,
            "range": style.range_of(self.field),
            "percentiles": dict(zip(map(str, PERCENTILES), self.field.percentiles.tolist(), strict=True)),
            "marks": self.marks(),
            "tiles": len(self.field.ids),
            "generation": self.field.generation,
        }

    def legend_png(self, style: ScoreStyle) -> bytes:
        """Return the legend as PNG."""
        marks = [(mark["score"], f"{mark['probability']:.0%}") for mark in self.marks()]
        return pictures.legend(style.range_of(self.field), style.colormap, marks)


def heatmap(searcher: Searcher, cache: ScoreCache, body: HeatmapBody) -> bytes:
    """Return the heat map file for a request.

    Raises:
        QueryError: The request is invalid.
        NotFoundError: The archive does not contain an example tile.
    """
    question = question_of(searcher, body.q, body.semantic)
    if question is None:
        raise QueryError("q, semantic: found neither; a heat map needs a query")
    style = ScoreStyle(colormap=body.colormap, rescale=_pair(body.rescale))
    box = None if body.area is None else LonLatBox.from_sequence(body.area)
    extent = MapExtent(box=box, width=body.width, height=body.height, crs=body.crs)
    where = filter_of(searcher, query_of_body(body, searcher.max_hits))
    made = Heatmap(searcher, question, cache.of(searcher.archive, question, where))
    canvas = extent.canvas(made.field.boxes)
    return made.png(canvas, style) if body.format == "png" else made.geotiff(canvas)


def _pair(given: Sequence[float] | None) -> tuple[float, float] | None:
    return None if given is None else (given[0], given[1])
