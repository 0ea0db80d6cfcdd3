"""Restricts the files and URLs that jobs may read to configured roots."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bandsight.errors import QueryError

_WILDCARDS = "*?["


def check_sources(sources: Sequence[str], roots: Sequence[str]) -> None:
    """Check that sources are under the roots.

    Args:
        sources: Absolute paths, which may end in a glob, and URLs, with `stac:` before that of a STAC API.
        roots: Folders and URL prefixes that are allowed.

    Raises:
        QueryError: A source is outside the roots.
    """
    for source in sources:
        if not any(_lies_under(source, root) for root in roots):
            allowed = ", ".join(roots) or "none; set BANDSIGHT_SOURCE_ROOTS"
            raise QueryError(
                f"sources: found {source[:200]!r}, which is not under any of the server's source roots: {allowed}"
            )


def _lies_under(source: str, root: str) -> bool:
    if "\0" in source:
        return False
    if "://" in root:
        return _url_lies_under(source.removeprefix("stac:"), root)
    if not source.startswith("/") or source.startswith("/vsi"):
        return False
    # Resolve symbolic links before comparing paths, for globs up to the first wildcard.
    fixed = source[: min([source.find(one) for one in _WILDCARDS if one in source], default=len(source))]
    rest = source[len(fixed) :]
    if ".." in Path(rest).parts:
        return False
    folder = fixed.rpartition("/")[0] or "/" if rest else fixed
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def _url_lies_under(source: str, root: str) -> bool:
    try:
        found, allowed = urlsplit(source), urlsplit(root)
        same = (found.scheme, found.hostname, found.port) == (allowed.scheme, allowed.hostname, allowed.port)
    except ValueError:
        return False
    if not same or found.username or found.password or "\\" in source or "%2e" in source.lower():
        return False
    path, base = found.path or "/", (allowed.path or "/").rstrip("/")
    return posixpath.normpath(path).lstrip("/") == path.strip("/") and f"{path.rstrip('/')}/".startswith(f"{base}/")
