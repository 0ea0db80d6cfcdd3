"""Highlights: the parts of a tile that match a query."""

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene, Tile
from bandsight.imagery.model_view import model_view
from bandsight.maps import pictures
from bandsight.maps.heatmap import ScoreStyle
from bandsight.search.question import Question
from bandsight.search.scorers import scores_of
from bandsight.search.searcher import Searcher

# Minimum score range of a highlight, so that uniform tiles do not highlight noise.
_LEAST_SPAN = 0.05


def cell_scores(searcher: Searcher, question: Question, scene: Scene, tile: Tile) -> NDArray[np.float32]:
    """Return the score of each cell of a tile, shape (rows, columns).

    Raises:
        SceneError: The tile's pixels cannot be read.
    """
    cells = searcher.encoder.dense(model_view(scene, tile)[None], scene.wavelengths_um)[0]
    scores = scores_of(question.scorer, cells.reshape(-1, cells.shape[-1]))
    return np.asarray(scores.reshape(cells.shape[:2]), np.float32)


def highlight_png(
    searcher: Searcher, question: Question, scene: Scene, tile: Tile, style: ScoreStyle, size: int
) -> bytes:
    """Return a PNG overlay for a tile's thumbnail; better matches are brighter and more opaque.

    Args:
        searcher: Archive and model.
        question: The query.
        scene: The tile's scene.
        tile: The tile.
        style: Colours; without `rescale`, they range from the worst to the best cell.
        size: Width and height, pixels.

    Raises:
        SceneError: The tile's pixels cannot be read.
    """
    cells = cell_scores(searcher, question, scene, tile)
    low, high = style.rescale or (float(cells.min()), max(float(cells.max()), float(cells.min()) + _LEAST_SPAN))
    return pictures.overlay(cells, (low, high), style.colormap, size)
