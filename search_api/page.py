"""The page: built files that ship with the package, and the headers that keep it to itself."""

from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(__file__).parent / "static"
# The page loads nothing but its own files and the API's answers. Pictures may come from what a person dropped (data,
# blob). Styles are set through the DOM, never as markup, so that nothing inline is allowed.
_HEADERS = {
    "Vary": "Accept",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class BuiltFiles(StaticFiles):
    """The built files; a name with a digest in it never means anything else."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        answer = await super().get_response(path, scope)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        named_by_content = "-" in Path(path).stem
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if named_by_content else "no-cache"
        return answer


def page() -> Response:
    """Return the page."""
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)
