"""Checkpoints of unfinished scenes: one file per finished part, kept until the whole scene is committed.

They are in `pending/` in the archive, in a folder per scene, named by its key. Parts are written atomically, and a
restarted scene continues after its existing parts.
"""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.durable import flush, make_folder
from bandsight.vectors.atomic_io import write_durably
from bandsight.vectors.cells import CellCodes
from indexer.scene import RasterScene
from indexer.tile_plan import TilePlan

_ABOUT = "about.json"
# Number of characters of the key in folder names.
_NAME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A part of a scene: tiles that have been read and embedded."""

    reads: NDArray[np.int64]
    """Numbers of the reads it contains completely, ascending, shape (reads,)."""
    numbers: NDArray[np.int64]
    """Number of each tile in its scene, ascending, shape (n,)."""
    valid_fraction: NDArray[np.float64]
    """Fraction of valid pixels, shape (n,)."""
    cloud_fraction: NDArray[np.float64]
    """Cloudy fraction of the valid pixels, NaN if unknown, shape (n,)."""
    vectors: NDArray[np.float32]
    """Unit vectors, shape (n, dim)."""
    cells: NDArray[np.uint8]
    """Records of the tiles' cells, as `bandsight.vectors.cells`, shape (n, side × side, bytes); (n, 0, 0) for none."""

    @property
    def cell_codes(self) -> CellCodes | None:
        """The tiles' cells, None where they have none."""
        return CellCodes(self.cells) if self.cells.size else None

    def __len__(self) -> int:
        return len(self.numbers)

    def pieces(self, tiles: int) -> "Iterator[Checkpoint]":
        """Yield chunks of at most `tiles` tiles."""
        for start in range(0, len(self), tiles):
            rows = slice(start, start + tiles)
            yield Checkpoint(
                reads=self.reads,
                numbers=self.numbers[rows],
                valid_fraction=self.valid_fraction[rows],
                cloud_fraction=self.cloud_fraction[rows],
                vectors=self.vectors[rows],
                cells=self.cells[rows],
            )


class CheckpointFolder:
    """The checkpoints of a scene."""

    def __init__(self, folder: Path, about: dict[str, str]) -> None:
        """Initialize; use `create` or `find` instead."""
        self._folder, self._about = folder, about
        self._next = 1

    @classmethod
    def create(cls, archive: Path, scene: RasterScene, plan: TilePlan, model: str) -> "CheckpointFolder":
        """Create the folder for a scene's parts. Deletes parts of an earlier version of the scene.

        Args:
            archive: The archive's folder.
            scene: The scene.
            plan: The scene's tiles.
            model: Digest of the model that embeds its tiles.
        """
        about = _about(scene, plan, model)
        for old in (archive / "pending").glob(f"*/{_ABOUT}"):
            said = _read_about(old)
            if said is None or said["href"] == about["href"]:
                shutil.rmtree(old.parent)
        folder = archive / "pending" / about["key"][:_NAME]
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        # Flush again, in case a job was killed between creating and flushing the folder.
        flush(folder.parent.parent)
        flush(folder.parent)
        write_durably(folder / _ABOUT, [json.dumps(about).encode()])
        return cls(folder, about)

    @classmethod
    def find(cls, archive: Path, scene: RasterScene, plan: TilePlan, model: str) -> "CheckpointFolder | None":
        """Return the checkpoints left by an earlier run, or None if none match."""
        about = _about(scene, plan, model)
        folder = archive / "pending" / about["key"][:_NAME]
        if _read_about(folder / _ABOUT) != about:
            return None
        found = cls(folder, about)
        files = found._files()
        found._next = 1 + max((int(file.stem) for file in files), default=0)
        return found

    @staticmethod
    def drop_left(archive: Path, key: str) -> None:
        """Delete parts of a committed scene that a killed job left behind."""
        folder = archive / "pending" / key[:_NAME]
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, part: Checkpoint) -> None:
        """Write a part durably.

        Raises:
            ArchiveError: The disk is full or not writable.
        """
        out = io.BytesIO()
        arrays = {one.name: getattr(part, one.name) for one in fields(part)}
        # Same precision as in the archive.
        arrays["vectors"] = part.vectors.astype(np.float16)
        np.savez(out, allow_pickle=False, **arrays)
        write_durably(self._folder / f"{self._next:06d}.npz", [out.getbuffer()])
        self._next += 1

    def read(self) -> Iterator[Checkpoint]:
        """Yield all parts in the order they were written. Damaged ones are deleted, to be redone."""
        for file in self._files():
            part = _read_part(file)
            if part is None:
                file.unlink()
            else:
                yield part

    def drop(self) -> None:
        """Delete all parts, because the scene was committed or failed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.npz"))


def _about(scene: RasterScene, plan: TilePlan, model: str) -> dict[str, str]:
    """Return what must match for parts to be reused. Other versions may read a scene differently."""
    record = scene.record
    how = (record.stretch, record.bands, record.transform, record.crs, record.decisions, plan, model)
    return {"key": record.key, "href": record.href, "how": hashlib.sha256(repr(how).encode()).hexdigest()}


def _read_about(file: Path) -> dict[str, str] | None:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return {name: str(said[name]) for name in ("key", "href", "how")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_part(file: Path) -> Checkpoint | None:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            # Earlier versions knew no cells.
            known = {"cells": np.empty((len(arrays["numbers"]), 0, 0), np.uint8), **arrays}
            found = {one.name: known[one.name] for one in fields(Checkpoint)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Checkpoint(**{**found, "vectors": found["vectors"].astype(np.float32)})
