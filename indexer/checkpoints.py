"""The finished parts of a scene that is not all there: one file each, kept until the whole scene is shown.

They are in `pending/` of the archive, a folder for each scene, named by its key. A part is complete or absent; a scene
that is started again continues after its parts.
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
# Characters of a key: enough to tell scenes apart.
_NAME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tiles of a scene that are read and embedded."""

    reads: NDArray[np.int64]
    """Numbers of the reads that it holds in full, ascending, shape (reads,)."""
    numbers: NDArray[np.int64]
    """Number of each tile in its scene, ascending, shape (n,)."""
    valid_fraction: NDArray[np.float64]
    """Share of valid pixels, shape (n,)."""
    cloud_fraction: NDArray[np.float64]
    """Share of cloud among them, NaN where unknown, shape (n,)."""
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
        """Yield so many of its tiles at a time."""
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
    """The parts of one scene."""

    def __init__(self, folder: Path, about: dict[str, str]) -> None:
        """Keep the place; `begun` and `find` say it more clearly."""
        self._folder, self._about = folder, about
        self._next = 1

    @classmethod
    def begun(cls, archive: Path, scene: RasterScene, plan: TilePlan, model: str) -> "CheckpointFolder":
        """Make a place for a scene's parts; parts of an earlier version of the scene are deleted.

        Args:
            archive: The archive's folder.
            scene: The scene.
            plan: How it is cut.
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
        # Of a job that was killed between making a folder and flushing it.
        flush(folder.parent.parent)
        flush(folder.parent)
        write_durably(folder / _ABOUT, [json.dumps(about).encode()])
        return cls(folder, about)

    @classmethod
    def find(cls, archive: Path, scene: RasterScene, plan: TilePlan, model: str) -> "CheckpointFolder | None":
        """Return the place of the parts that an earlier run has left, None where none fit."""
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
        """Delete the parts of a scene that is in the archive, where a job died before it could."""
        folder = archive / "pending" / key[:_NAME]
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, part: Checkpoint) -> None:
        """Write a part so that it survives a power cut.

        Raises:
            ArchiveError: The disk is full, or does not let us.
        """
        out = io.BytesIO()
        arrays = {one.name: getattr(part, one.name) for one in fields(part)}
        # As the archive will keep them.
        arrays["vectors"] = part.vectors.astype(np.float16)
        np.savez(out, allow_pickle=False, **arrays)
        write_durably(self._folder / f"{self._next:06d}.npz", [out.getbuffer()])
        self._next += 1

    def read(self) -> Iterator[Checkpoint]:
        """Yield all parts, in the order in which they were written; a damaged one is deleted, to be done again."""
        for file in self._files():
            part = _read_part(file)
            if part is None:
                file.unlink()
            else:
                yield part

    def drop(self) -> None:
        """Delete all parts: the scene is in the archive, or will never be."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.npz"))


def _about(scene: RasterScene, plan: TilePlan, model: str) -> dict[str, str]:
    """Return what must be the same for parts to fit: a scene may be read in another way by another version."""
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
