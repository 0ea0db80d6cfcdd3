"""A scene whose files lie somewhere else now."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bandsight.catalog.records import Scene

# What may follow the place of a folder or file in a href.
_AFTER = {"", "/", ":", "}", '"', "?"}


def relocated(scene: Scene, hrefs: Mapping[str, str], source: dict[str, Any] | None = None) -> Scene:
    """Return a scene with new hrefs; nothing else of it changes.

    Args:
        scene: The scene.
        hrefs: Each old href and its new one.
        source: What it is opened from now; None to rewrite what there is.
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
    """Return where a file lies now; a part of a container moves with its file."""
    if href in hrefs:
        return hrefs[href]
    for old, new in hrefs.items():
        if old in href:
            return href.replace(old, new)
    return href


def _renamed(value: Any, hrefs: Mapping[str, str]) -> Any:
    """Return JSON values with new hrefs, as values and as keys."""
    if isinstance(value, dict):
        return {_new(key, hrefs): _renamed(one, hrefs) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, hrefs) for one in value]
    return _new(value, hrefs) if isinstance(value, str) else value


def under(scene: Scene, old: str, new: str) -> dict[str, str]:
    """Return the hrefs of a scene that lie under a folder or URL, each with the one under another.

    Args:
        scene: The scene.
        old: Where they lay: a folder, a file or the beginning of a URL.
        new: Where they lie now.
    """
    old, new = old.rstrip("/"), new.rstrip("/")
    hrefs = {scene.href, *(band.href for band in scene.bands), *((scene.source or {}).get("hrefs", ()))}
    hrefs |= {one["href"] for one in (scene.decisions or {}).get("files", ())}
    return {
        href: href.replace(old, new, 1)
        for href in hrefs
        if (at := href.find(old)) >= 0 and href[at + len(old) :][:1] in _AFTER
    }
