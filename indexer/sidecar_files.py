"""Reads small auxiliary files next to rasters, in folders, zips and tars, by GDAL paths."""

import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path, PurePath

from bandsight.errors import SceneError
from bandsight.raster.drivers import in_zip

# Maximum size of a metadata file.
_MAX_BYTES = 16 << 20


def list_folder(folder: PurePath) -> list[str]:
    """Return the names in a folder, sorted; empty if it is not a folder."""
    place = in_zip(str(folder))
    if place is None:
        return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []
    archive, inner = place
    prefix = f"{inner}/" if inner else ""
    under = (name[len(prefix) :] for name in zip_names(archive) if name.startswith(prefix))
    return sorted({name.partition("/")[0] for name in under if name})


def read_text(path: PurePath) -> str:
    """Read a small text file.

    Raises:
        SceneError: It cannot be read, or is too large.
    """
    try:
        place = in_zip(str(path))
        if place is None:
            with Path(path).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        else:
            data = _read_packed(*place)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, KeyError, NotImplementedError, RuntimeError) as error:
        raise SceneError(f"{path}: cannot be read ({error}); download the product again") from error
    if len(data) > _MAX_BYTES:
        raise SceneError(f"{path}: larger than {_MAX_BYTES >> 20} MB, so it is not a metadata file; remove it")
    return data.decode("utf-8", errors="replace")


def _read_packed(archive: str, inner: str) -> bytes:
    """Read the beginning of a file in a zip or tar."""
    if is_tar(archive):
        with tarfile.open(archive, "r:") as packed:
            # tar prefixes names with ./ if it was given a folder.
            known = set(packed.getnames())
            member = packed.extractfile(inner if inner in known else f"./{inner}")
            return b"" if member is None else member.read(_MAX_BYTES + 1)
    with zipfile.ZipFile(archive) as zipped, zipped.open(inner) as file:
        return file.read(_MAX_BYTES + 1)


def is_tar(archive: str) -> bool:
    """Return whether an archive is a tar, by its name."""
    return archive.lower().endswith(".tar")


@lru_cache(maxsize=16)
def _names(archive: str, _changed_ns: int) -> tuple[str, ...]:
    if is_tar(archive):
        with tarfile.open(archive, "r:") as packed:
            return tuple(member.name.removeprefix("./") for member in packed if member.isfile())
    with zipfile.ZipFile(archive) as opened:
        return tuple(name for name in opened.namelist() if not name.endswith("/"))


def zip_names(archive: str) -> tuple[str, ...]:
    """Return the names of the files in a zip or tar.

    Raises:
        SceneError: It is not a zip or tar, or damaged.
    """
    try:
        return _names(archive, Path(archive).stat().st_mtime_ns)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, ValueError, NotImplementedError) as error:
        kind = "tar" if is_tar(archive) else "zip"
        raise SceneError(f"{archive}: not a readable {kind} ({error}); download it again") from error
