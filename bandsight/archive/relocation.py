"""Changes the hrefs of a scene whose files have moved."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bandsight.catalog.records import Scene

# Characters that may follow a folder or file within a href.
_AFTER = {"", "/", ":", "}", '"', "?"}


def relocated(scene: Scene, hrefs: Mapping[str, str], source: dict[str, Any] | None = None) -> Scene:
    """Return a scene with new hrefs, otherwise unchanged.

    Args:
        scene: The scene.
        hrefs: New href for each old one.
        source: New source of the scene, or None to rewrite the existing one.
    """
    kept = scene.source
    own = None if kept is None else {**kept, **(source or {"hrefs": [_new(one, hrefs) for one in kept["hrefs"]]})}
    return replace(
        scene,
        href=_new(scene.href, hrefs),
        bands=tuple(replace(band, href=_new(band.href, hrefs)) for band in scene.bands),
        source=own if own is None or source is not None else _renamed(own, hrefs),
        decisions=None if scene.decisions is None else _renamed(scene.decisions, hrefs),
    )


def _new(href: str, hrefs: Mapping[str, str]) -> str:
    """Return a file's new href; a part of a container moves with its file."""
    if href in hrefs:
        return hrefs[href]
    for old, new in hrefs.items():
        if old in href:
            return href.replace(old, new)
    return href


def _renamed(value: Any, hrefs: Mapping[str, str]) -> Any:
    """Replace hrefs in JSON values and keys."""
    if isinstance(value, dict):
        return {_new(key, hrefs): _renamed(one, hrefs) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, hrefs) for one in value]
    return _new(value, hrefs) if isinstance(value, str) else value


def under(scene: Scene, old: str, new: str) -> dict[str, str]:
    """Return the hrefs of a scene under a folder or URL, mapped to those under another.

    Args:
        scene: The scene.
        old: Old location: a folder, a file or a URL prefix.
        new: New location.
    """
    old, new = old.rstrip("/"), new.rstrip("/")
    hrefs = {scene.href, *(band.href for band in scene.bands), *((scene.source or {}).get("hrefs", ()))}
    hrefs |= {one["href"] for one in (scene.decisions or {}).get("files", ())}
    return {
        href: href.replace(old, new, 1)
        for href in hrefs
        if (at := href.find(old)) >= 0 and href[at + len(old) :][:1] in _AFTER
    }
