"""The web page: the built files in the package, and their security headers."""

from html import escape
from http import HTTPStatus
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from search_api.basemap import Basemap

_FOLDER = Path(__file__).parent / "static"
# The page loads only its own files and the API's responses. Images may come from files dropped by the user (data,
# blob). Scripts set styles through the DOM, so inline styles are not allowed.
_HEADERS = {
    "Vary": "Accept",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_POLICY = (
    "default-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'{more}; "
    "img-src 'self' data: blob:{more}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


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


def api_docs() -> Response:
    """Return the API documentation page."""
    return FileResponse(_FOLDER / "docs.html", headers=_HEADERS | {"Content-Security-Policy": _POLICY.format(more="")})


def page(*, sign_in: bool = False, basemap: Basemap | None = None) -> Response:
    """Return the web page.

    Args:
        sign_in: Whether the page asks for the key.
        basemap: Custom background map; the page is allowed to load it.
    """
    index = _FOLDER / "index.html"
    origin = basemap.origin if basemap else None
    headers = _HEADERS | {"Content-Security-Policy": _POLICY.format(more=f" {origin}" if origin else "")}
    if not sign_in and basemap is None:
        return FileResponse(index, headers=headers)
    attributes = (" data-sign-in" if sign_in else "") + (
        f' data-basemap="{escape(basemap.as_json())}"' if basemap else ""
    )
    text = index.read_text(encoding="utf-8").replace('<div id="app"', f'<div id="app"{attributes}', 1)
    if not sign_in:
        return HTMLResponse(text, headers=headers)
    headers |= {"Cache-Control": "no-store", "WWW-Authenticate": 'Bearer realm="bandsight"'}
    return HTMLResponse(text, HTTPStatus.UNAUTHORIZED, headers)
