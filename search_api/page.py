"""The web page: the built files in the package, and their security headers."""

from http import HTTPStatus
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(__file__).parent / "static"
# The page loads only its own files and the API's responses. Images may come from files that a user dropped (data,
# blob). Scripts set styles through the DOM, so inline styles are not allowed.
_HEADERS = {
    "Vary": "Accept",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class BuiltFiles(StaticFiles):
    """The built files. Files with a content digest in their name never change."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with its cache headers."""
        response = await super().get_response(path, scope)
        response.headers["X-Content-Type-Options"] = "nosniff"
        has_digest = "-" in Path(path).stem
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if has_digest else "no-cache"
        return response


def page(*, sign_in: bool = False) -> Response:
    """Return the web page.

    Args:
        sign_in: Whether it asks for the key.
    """
    index = _FOLDER / "index.html"
    if not sign_in:
        return FileResponse(index, headers=_HEADERS)
    text = index.read_text(encoding="utf-8").replace('<div id="app"', '<div id="app" data-sign-in', 1)
    headers = _HEADERS | {"Cache-Control": "no-store", "WWW-Authenticate": 'Bearer realm="bandsight"'}
    return HTMLResponse(text, HTTPStatus.UNAUTHORIZED, headers)
