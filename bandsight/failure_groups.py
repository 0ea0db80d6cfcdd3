"""Groups failed scenes by reason, so that a thousand failures fit in a few lines."""

import re
from collections.abc import Iterable

_SHOWN = 3
# Parts of a message that vary between scenes with the same problem: paths, numbers and quoted text.
_OWN = re.compile(
    r"'[^']*'|\"[^\"]*\"|\S*/\S*|\S+\.(?:tif|tiff|jp2|nc|h5|img|png|jpg|json|zip)\S*|\d+(?:[.,]\d+)*", re.IGNORECASE
)


def grouped(failures: Iterable[tuple[str, str]]) -> list[str]:
    """Return one line per reason, most frequent first.

    Args:
        failures: (scene, reason) pairs.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for scene, reason in failures:
        groups.setdefault(_OWN.sub("…", _without(scene, reason)), []).append((scene, reason))
    return [_line(rows) for rows in sorted(groups.values(), key=lambda rows: -len(rows))]


def _line(rows: list[tuple[str, str]]) -> str:
    scene, reason = rows[0]
    if len(rows) == 1:
        return reason if scene in reason else f"{scene}: {reason}"
    names = ", ".join(scene.rsplit("/", 1)[-1] for scene, _ in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{len(rows)} scenes ({names}{more}): {_without(scene, reason)}"


def _without(scene: str, reason: str) -> str:
    """Return a reason without the path it starts with."""
    place, found, rest = reason.partition(": ")
    return rest if found and (scene in place or place in scene or "/" in place or "." in place) else reason
