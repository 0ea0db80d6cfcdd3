"""The files of a store: segments and their columns are opened, written, merged, verified and quarantined."""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import TileColumns
from bandsight.attributes.segments import Segment
from bandsight.durable import flush, link_or_copy, make_folder
from bandsight.errors import ArchiveError
from bandsight.objects.cached import MARKER, CachedObjects
from bandsight.progress import counted
from bandsight.vectors.atomic_io import cannot_write
from bandsight.vectors.cells import CellCodes
from bandsight.vectors.local.cell_files import CellFile, CellFolder
from bandsight.vectors.local.checked_files import CheckedFiles
from bandsight.vectors.local.column_files import SUFFIX as COLUMNS
from bandsight.vectors.local.column_files import load_columns, save_columns, sound_columns
from bandsight.vectors.local.index_files import INDEX_FILES, copy_index, drop_foreign, drop_index, index_problem
from bandsight.vectors.local.index_mirror import IndexMirror
from bandsight.vectors.local.places import FolderPlace, ObjectPlace, SegmentPlace
from bandsight.vectors.local.segment_checks import damaged_ids, file_checksum, salvage
from bandsight.vectors.local.segments import SUFFIX, OpenSegment, encode_segment

# Maximum deviation of the norm of float16 unit vectors from 1.
_NORM_TOLERANCE = 5e-3
# Maximum size of merged segments: large enough for a small number of open files, small enough to rewrite in seconds.
_MERGED_BYTES = 256 << 20
_QUARANTINE = "quarantine"
_NO_CELLS = (
    "tiles with cells, which archives with files on object storage do not keep; index their scenes with --cells 0"
)


@dataclass(frozen=True, slots=True)
class LoadedSegment:
    """One open segment with its attributes."""

    segment: Segment
    file: OpenSegment
    columns: TileColumns
    cells: CellFile | None = None
    """The cells of its tiles; None if they have none or are damaged."""
    cells_problem: ArchiveError | None = None
    """The damage of the cells, if any."""

    @property
    def cells_shape(self) -> tuple[int, ...]:
        """Shape of the records of a tile's cells; empty if it has none."""
        return () if self.cells is None else self.cells.codes.records.shape[1:]


class StoreFolder:
    """Manages the files, independent of searching."""

    def __init__(
        self,
        folder: Path,
        dim: int,
        columns_of: Callable[[NDArray[np.int64]], TileColumns],
        files: CachedObjects | None = None,
        index_files: Sequence[str] = INDEX_FILES,
    ) -> None:
        """Initialize.

        Args:
            folder: The archive's folder, with segments in `vectors/` and derived files in `index/`.
            dim: Length of a vector.
            columns_of: Reads the attributes of tiles from the catalog if their file is missing.
            files: Object storage of segments and index; None for the folder.
            index_files: The files that an index may have, its metadata last.
        """
        self.vectors, self.derived, self._quarantine = folder / "vectors", folder / "index", folder / _QUARANTINE
        self._dim, self._columns_of = dim, columns_of
        for place in (self.vectors, self.derived):
            try:
                make_folder(place)
            except OSError as error:
                raise ArchiveError(
                    f"{place}: cannot be made ({error.strerror}); check the folder's permissions"
                ) from error
        self.place: SegmentPlace = FolderPlace(self.vectors) if files is None else ObjectPlace(files, self.derived)
        self._mirror = None if files is None else IndexMirror(files, self.derived, index_files)
        self._files = files
        self.cell_files = CellFolder(self.vectors, dim)
        self._checked = CheckedFiles(self.derived)

    def ping(self) -> None:
        """Check that the object storage answers, if the files are there; see `VectorStore.ping`."""
        if self._files is not None:
            self._files.objects.get(MARKER)

    def publish(self) -> None:
        """Publish the saved index for other machines that do not see this folder."""
        if self._mirror is not None:
            self._mirror.publish()

    def follow(self, named: set[str]) -> None:
        """Update the local index to the published one, and delete files of dropped segments.

        Args:
            named: Segments of the next state.
        """
        if self._mirror is not None:
            self._mirror.follow()
            for path in self.derived.glob("seg-*"):
                if path.stem not in named:
                    path.unlink(missing_ok=True)

    def write(self, vectors: NDArray[np.float16], columns: TileColumns, cells: CellCodes | None = None) -> Segment:
        """Write rows durably and return their segment.

        Raises:
            ArchiveError: The write fails, or there are cells and the files are on object storage.
        """
        segment, parts = encode_segment(columns.ids, vectors)
        if cells is not None:
            self._need_a_folder()
            self.cell_files.write(segment.name, columns.ids, cells)
        self.place.write(segment, parts)
        save_columns(self.derived / segment.name, columns)
        self.place.put_columns(segment, self.columns_path_of(segment))
        return segment

    def open(self, segment: Segment) -> LoadedSegment:
        """Open a segment.

        Raises:
            ArchiveError: Its file is missing or damaged.
        """
        file = self.place.open(segment, self._dim)
        columns = load_columns(self.derived / segment.name, file.ids, self._checked)
        if columns is None and self.place.fetch_columns(segment, self.columns_path_of(segment)):
            columns = load_columns(self.derived / segment.name, file.ids)
        if columns is None:
            # The ids are in the columns too; if they differ, either file may be damaged.
            if not self.place.trusts_heads():
                file.sound(np.arange(segment.count))
            columns = self._columns_of(np.asarray(file.ids))
            if not self.place.exists(segment):
                # A compaction has just deleted both files, and the catalog may no longer have these tiles.
                raise ArchiveError(f"{self.path_of(segment)}: this vector file is missing; run: bandsight repair")
            save_columns(self.derived / segment.name, columns)
        try:
            cells = self.cell_files.open(segment.name, file.ids)
        except ArchiveError as error:
            # Searches by whole tiles do not need cells.
            return LoadedSegment(segment, file, columns, None, error)
        if cells is None and self._files is None and not self.place.exists(segment):
            raise ArchiveError(f"{self.path_of(segment)}: this vector file is missing; run: bandsight repair")
        return LoadedSegment(segment, file, columns, cells)

    def remove_unnamed(self, named: set[str], newest: int) -> list[str]:
        """Delete files that no commit names, because a writer stopped before its commit, and return their names.

        Args:
            named: Segments that a commit names.
            newest: Id of the newest tile; an index with newer ones was not built from this catalog.
        """
        removed = self.place.remove_unnamed(named)
        # After the vector files: who finds no cells beside one finds that there are none.
        self.cell_files.remove_unnamed(named)
        stale = [path for path in self.derived.glob("seg-*") if path.stem not in named]
        stale += list(self.derived.glob(".*.tmp"))
        for path in stale:
            path.unlink(missing_ok=True)
        drop_foreign(self.derived, newest)
        if self._mirror is not None:
            self._mirror.remove_unnamed()
        return sorted([*removed, *(path.name for path in stale)])

    def merge(
        self, parts: Sequence[LoadedSegment], alive: Sequence[NDArray[np.bool_]]
    ) -> tuple[list[Segment], list[Segment]]:
        """Rewrite segments without deleted rows, and merge small neighbouring ones.

        Returns:
            The segments to drop, and those that replace them.
        """
        for part in parts:
            if part.cells_problem is not None:
                raise part.cells_problem
        groups: list[list[int]] = []
        size = 0
        for number, mask in enumerate(alive):
            own = int(mask.sum()) * self._dim * 2
            same_cells = groups and parts[groups[-1][-1]].cells_shape == parts[number].cells_shape
            if not same_cells or size + own > _MERGED_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(number)
            size += own
        old: list[Segment] = []
        new: list[Segment] = []
        for group in counted(groups, len(groups)):
            if len(group) == 1 and alive[group[0]].all() and parts[group[0]].file.checks is not None:
                continue
            old += [parts[number].segment for number in group]
            rows = np.concatenate([parts[number].file.sound(np.flatnonzero(alive[number])) for number in group])
            if len(rows):
                columns = TileColumns.join([parts[n].columns.take(np.flatnonzero(alive[n])) for n in group])
                cells = [one.sound(np.flatnonzero(alive[n])) for n in group if (one := parts[n].cells) is not None]
                new.append(self.write(rows, columns, CellCodes.join(cells) if cells else None))
        return old, new

    def salvage(self, segment: Segment) -> tuple[NDArray[np.int64], NDArray[np.float16], CellCodes | None]:
        """Return ids, vectors and cells of the intact rows of a damaged file.

        If there are cells, those of the row must be intact too.
        """
        ids, rows = salvage(self.place.read(segment), segment, self._dim)
        if not self.cell_files.has(segment.name):
            return ids, rows, None
        try:
            known = np.asarray(self.place.open(segment, self._dim).ids)
        except ArchiveError:
            known = ids
        good, cells = self.cell_files.salvage(segment.name, known, ids)
        return ids[good], rows[good], cells

    def damage(self, segment: Segment, *, full: bool, cells: int = 0) -> str | None:
        """Describe the damage of a segment's files; None if they are intact.

        Args:
            segment: The segment.
            full: Read every row.
            cells: Expected number of cells along each side of its tiles; 0 if they may have none.
        """
        name = f"vectors/{segment.name}{SUFFIX}"
        try:
            if self.place.check(segment, self._dim, full=full):
                ids = self.place.open(segment, self._dim).ids
                return self.cell_files.damage(segment.name, ids, full=full, side=cells)
        except (ArchiveError, OSError) as error:
            return str(error)
        bad = damaged_ids(self.place.read(segment), segment, self._dim)
        which = f"tiles {bad[:5]}{' and more' if len(bad) > 5 else ''}" if bad else "its rows"  # noqa: PLR2004
        return f"{name}: {which} do not match their checksum; run: bandsight repair"

    def problems(self, part: LoadedSegment, *, full: bool) -> list[str]:
        """Return problems of a segment and its columns, one sentence each; `full` reads every row."""
        name = part.segment.name
        if damage := self.damage(part.segment, full=full):
            return [damage]
        if not full:
            return []
        problems = []
        off = np.abs(np.linalg.norm(part.file.rows.astype(np.float32), axis=1) - 1) > _NORM_TOLERANCE
        if off.any():
            problems.append(f"vectors/{name}{SUFFIX}: {int(off.sum())} vectors are not of norm 1")
        saved = load_columns(self.derived / name, part.file.ids)
        if saved is None or not saved.agrees(self._columns_of(np.asarray(part.file.ids))):
            problems.append(f"index/{name}: columns missing or damaged; run: bandsight repair")
        return problems

    def drop_damaged_derived(self) -> list[str]:
        """Delete damaged derived files and return their names; columns are written again when the store is opened."""
        report = []
        if self._mirror is not None:
            self._mirror.follow()
        for path in sorted(self.derived.glob(f"seg-*{COLUMNS}")):
            if not sound_columns(path):
                path.unlink()
                report.append(f"index/{path.name}: damaged, written again")
        problem, _ = index_problem(self.derived)
        if problem:
            drop_index(self.derived)
            if self._mirror is not None:
                self._mirror.again()
            if self._mirror is not None and (self.derived / INDEX_FILES[-1]).exists():
                report.append(f"{problem.partition(':')[0]}: damaged, copied again")
            else:
                report.append(f"{problem.partition(':')[0]}: damaged, deleted; run: bandsight optimize")
        return report

    def copy_derived(self, target: Path) -> None:
        """Copy the search index to another archive's folder, because it takes time to build; columns are not copied."""
        copy_index(self.derived, target / "index")

    def copy_segment(self, segment: Segment, target: Path) -> bool:
        """Verify and copy a segment to another archive's folder; returns False if a compaction has deleted the file.

        Raises:
            ArchiveError: It is damaged.
            OSError: The copy cannot be written.
        """
        copy = target / "vectors" / self.path_of(segment).name
        make_folder(copy.parent)
        # Before the vector file, which a compaction deletes first: if the cells are missing, so is the vector file.
        self.cell_files.copy(segment.name, copy.parent)
        if copy.exists() and copy.stat().st_size > 0 and file_checksum(copy) == segment.sha256:
            # Of a copy that was stopped.
            return True
        try:
            self.place.copy_to(segment, copy.parent)
        except FileNotFoundError:
            return False
        if file_checksum(copy) != segment.sha256:
            raise ArchiveError(
                f"{self.path_of(segment)}: does not match its checksum; run: bandsight repair, then back up again"
            )
        return True

    def upload_segment(self, segment: Segment, files: CachedObjects) -> bool:
        """Verify and copy a segment and its columns to object storage; returns False if the file is missing."""
        if self.cell_files.has(segment.name):
            raise ArchiveError(f"vectors/{segment.name}: {_NO_CELLS}")
        other = ObjectPlace(files, self.derived)
        with tempfile.TemporaryDirectory(dir=self.derived.parent, prefix=".copy-") as name:
            path = self.path_of(segment)
            if self._files is not None:
                try:
                    self.place.copy_to(segment, Path(name))
                except FileNotFoundError:
                    return False
                path = Path(name) / path.name
            if not path.exists():
                return False
            if file_checksum(path) != segment.sha256:
                raise ArchiveError(f"{path.name}: does not match its checksum; run: bandsight repair, then copy again")
            other.take(segment, path)
        other.put_columns(segment, self.columns_path_of(segment))
        return True

    def adopt(self, beside: "StoreFolder", segments: Sequence[Segment]) -> None:
        """Hard-link another folder's vector files, their columns and its index here, durably.

        Readers that have opened the current index keep it. The new one is ignored until a commit adds its tiles.

        Raises:
            ArchiveError: The disk is full, or the write fails.
        """
        try:
            for segment in segments:
                if beside.cell_files.has(segment.name):
                    self._need_a_folder()
                    self.cell_files.take(segment.name, beside.vectors)
                self.place.take(segment, beside.path_of(segment))
                if beside.columns_path_of(segment).exists():
                    link_or_copy(beside.columns_path_of(segment), self.columns_path_of(segment))
                    self.place.put_columns(segment, self.columns_path_of(segment))
            flush(self.vectors)
            copy_index(beside.derived, self.derived)
        except OSError as error:
            raise cannot_write(Path(error.filename or self.vectors), error) from error

    def derived_bytes(self) -> int:
        """Return the size of the derived files, bytes."""
        with os.scandir(self.derived) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.is_file() and not entry.name.startswith("."))

    def set_aside(self, segment: Segment) -> None:
        """Copy a damaged file to the quarantine folder."""
        if self.place.exists(segment):
            # Durable before the damaged file itself is deleted.
            make_folder(self._quarantine)
            self.place.copy_to(segment, self._quarantine)
            self.cell_files.set_aside(segment.name, self._quarantine)
            flush(self._quarantine)

    def _need_a_folder(self) -> None:
        if self._files is not None:
            raise ArchiveError(f"{self._files}: {_NO_CELLS}")

    def path_of(self, segment: Segment) -> Path:
        """Return the path of a segment's file in this folder."""
        return self.vectors / f"{segment.name}{SUFFIX}"

    def columns_path_of(self, segment: Segment) -> Path:
        """Return the path of a segment's columns, without suffix."""
        return self.derived / f"{segment.name}{COLUMNS}"
