"""Summary of an indexing job."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bandsight.failure_groups import grouped

_SHOWN = 3


@dataclass(slots=True, kw_only=True)
class Summary:
    """Counts, failures and notes of an indexing job."""

    scenes: int = 0
    """Scenes added or replaced."""
    tiles: int = 0
    """Tiles added."""
    skipped_scenes: int = 0
    """Unchanged scenes that were skipped."""
    skipped_tiles: Counter[str] = field(default_factory=Counter)
    """Excluded tiles, by reason."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(scene, reason) of failed scenes."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(scene, note), e.g. about options that were not applied."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names of skipped files, by reason."""
    seconds: float = 0.0
    """Duration of the job."""
    encode_s: float = 0.0
    """Time in the model."""

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-serializable values."""
        return {
            "scenes": self.scenes,
            "tiles": self.tiles,
            "skipped_scenes": self.skipped_scenes,
            "skipped_tiles": dict(self.skipped_tiles),
            "left_out": self.left_out,
            "notes": [note for _, note in self.notes],
            "failed": [{"scene": scene, "reason": reason} for scene, reason in self.failed],
            "seconds": round(self.seconds, 3),
            "model_busy": round(self.encode_s / self.seconds, 3) if self.seconds else 0.0,
            "tiles_per_s": round(self.tiles_per_s, 1),
        }

    @property
    def tiles_per_s(self) -> float:
        """Tiles added per second."""
        return self.tiles / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """Return the summary as text."""
        lines = []
        kept = _counted(self.skipped_scenes, "scene")
        if not self.scenes and not self.failed and not self.skipped_scenes:
            lines.append("nothing to do: no scenes found in the given sources")
        elif not self.scenes and not self.failed:
            lines.append(f"nothing to do: {kept} already in the archive, unchanged")
        else:
            lines.append(
                f"indexed {_counted(self.tiles, 'tile')} of {_counted(self.scenes, 'scene')} in {self.seconds:.1f} s "
                f"({self.tiles_per_s:.0f} tiles/s, {self.encode_s:.1f} s in the model)"
            )
            if self.skipped_scenes:
                lines.append(f"{kept} already in the archive")
        lines += [
            f"left out {_counted(count, 'tile')}: {reason}" for reason, count in sorted(self.skipped_tiles.items())
        ]
        for reason, names in sorted(self.left_out.items()):
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            lines.append(f"left out {_counted(len(names), 'file')} ({shown}): {reason}")
        lines += [f"note: {text}" for text in grouped(self.notes)]
        if self.failed:
            lines.append(f"{_counted(len(self.failed), 'scene')} failed:")
            lines += [f"  {line}" for line in grouped(self.failed)]
        return "\n".join(lines)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
