"""Size limits of request bodies."""

from starlette.exceptions import HTTPException
from starlette.types import Scope

# Texts, labels and filters.
_JSON_BYTES = 2**20
# JSON with images as base64. Larger images are sent as a form.
_IMAGE_JSON_BYTES = 2**23
# Multipart overhead: boundaries, headers, and the JSON field.
_MULTIPART_BYTES = _JSON_BYTES + 2**17
_IMAGE_ROUTES = ("/search", "/search/export", "/searches", "/classify", "/classify/map", "/heatmap")
# HTTPStatus.CONTENT_TOO_LARGE exists since Python 3.13.
_TOO_LARGE = 413


def too_large(max_bytes: int) -> HTTPException:
    """Return the error for a body, or a file in it, that is larger than `max_bytes`."""
    return HTTPException(
        _TOO_LARGE, f"upload: larger than the {max_bytes:,} bytes this server accepts; send a smaller one"
    )


def body_limits(scope: Scope, max_upload_bytes: int) -> tuple[int, int]:
    """Return the maximum body size of a request, and the limit to state in an error."""
    if not scope["path"].endswith(_IMAGE_ROUTES):
        return _JSON_BYTES, _JSON_BYTES
    media_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if media_type.lower().startswith(b"multipart/"):
        return max_upload_bytes + _MULTIPART_BYTES, max_upload_bytes
    return _IMAGE_JSON_BYTES, _IMAGE_JSON_BYTES
