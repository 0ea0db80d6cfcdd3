"""Shared responses: JSON documents and PNG images."""

import io
from typing import Any

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bandsight.imagery.tile_mark import KEYWORD
from bandsight.stac.media_types import JSON

PNG = "image/png"


def json_response(value: Any, media_type: str = JSON, status: int = 200) -> Response:
    """Return a JSON document."""
    return Response(orjson.dumps(value), status, media_type=media_type)


def png_response(picture: NDArray[np.uint8], mark: str | None = None) -> Response:
    """Return an image, shape (height, width, 3 or 4), as PNG, optionally with a mark (`imagery.tile_mark`)."""
    out = io.BytesIO()
    text = PngInfo()
    if mark is not None:
        text.add_text(KEYWORD, mark)
    # Web maps request many images. Level 3 takes a third of the default's time, for slightly larger files.
    Image.fromarray(picture).save(out, "PNG", compress_level=3, pnginfo=text)
    return Response(out.getvalue(), media_type=PNG)
