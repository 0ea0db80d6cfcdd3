"""Responses that routes share: JSON documents and PNG pictures."""

import io
from typing import Any

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray
from PIL import Image

from bandsight.stac.links import JSON

PNG = "image/png"


def json_response(value: Any, media_type: str = JSON, status: int = 200) -> Response:
    """Return a JSON document."""
    return Response(orjson.dumps(value), status, media_type=media_type)


def png_response(picture: NDArray[np.uint8]) -> Response:
    """Return a picture, shape (height, width, 3 or 4), as PNG."""
    out = io.BytesIO()
    # Web maps request many pictures. Level 3 takes a third of the time of the default, for slightly larger files.
    Image.fromarray(picture).save(out, "PNG", compress_level=3)
    return Response(out.getvalue(), media_type=PNG)
