"""Highlights: the parts of a tile that match a query."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene, Tile
from bandsight.imagery.model_view import model_view
from bandsight.maps import pictures
from bandsight.maps.heatmap import ScoreStyle
from bandsight.model.protocol import Encoder
from bandsight.search.question import Question
from bandsight.search.scorers import scores_of
from bandsight.search.searcher import Searcher

# Cells along a side for a highlight, and width of a window in cells, odd.
_CELLS, _WIDTH = 8, 3
# Minimum score range of a highlight, so that uniform tiles do not highlight noise.
_LEAST_SPAN = 0.05


def cell_scores(searcher: Searcher, question: Question, scene: Scene, tile: Tile) -> NDArray[np.float32]:
    """Return the score of each cell of a tile, shape (rows, columns).

    Raises:
        SceneError: The tile's pixels cannot be read.
    """
    vectors = located_vectors(searcher.encoder, model_view(scene, tile), scene.wavelengths_um)
    scores = scores_of(question.scorer, vectors.reshape(-1, vectors.shape[-1]))
    return np.asarray(scores.reshape(vectors.shape[:2]), np.float32)


def located_vectors(encoder: Encoder, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
    """Return vectors that show where in a tile something is, shape (rows, columns, dim).

    These are the model's own cells if it has enough of them. The few cells of a convolutional network see most of the
    tile, so it embeds windows around the cells of a finer grid instead; at the border, the nearest window counts.

    Args:
        encoder: The model.
        pixels: The tile, shape (bands, height, width).
        wavelengths: Centre wavelength of each band, µm.
    """
    cells: NDArray[np.float32] = encoder.dense(pixels[None], wavelengths)[0]
    size = min(pixels.shape[1:])
    if min(cells.shape[:2]) >= _CELLS or size < _CELLS:
        return cells
    at = np.linspace(0, size, _CELLS + 1).astype(int)
    starts, side = at[: _CELLS - _WIDTH + 1], size * _WIDTH // _CELLS
    windows = [pixels[:, row : row + side, column : column + side] for row in starts for column in starts]
    vectors = encoder.embed_pixels(np.stack(windows), wavelengths).reshape(len(starts), len(starts), -1)
    border = (_WIDTH // 2, _WIDTH // 2)
    padded: NDArray[np.float32] = np.pad(vectors, (border, border, (0, 0)), mode="edge")
    return padded


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
