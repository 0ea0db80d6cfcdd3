"""Small files beside the rasters, in a folder or in a zip; a place in a zip is written as GDAL writes it."""

import zipfile
from functools import lru_cache
from pathlib import Path, PurePath

from bandsight.errors import SceneError
from bandsight.raster.drivers import in_zip

# Metadata files are a few MB at most; what is larger is no such file.
_MAX_BYTES = 16 << 20


def list_folder(folder: PurePath) -> list[str]:
    """Return the names in a folder, sorted; none where it is not a folder."""
    place = in_zip(str(folder))
    if place is None:
        return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []
    archive, inner = place
    prefix = f"{inner}/" if inner else ""
    under = (name[len(prefix) :] for name in zip_names(archive) if name.startswith(prefix))
    return sorted({name.partition("/")[0] for name in under if name})


def read_text(path: PurePath) -> str:
    """Return a small text file.

    Raises:
        SceneError: It cannot be read, or is far too large to be one.
    """
    try:
        place = in_zip(str(path))
        if place is None:
            with Path(path).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        else:
            with zipfile.ZipFile(place[0]) as archive, archive.open(place[1]) as member:
                data = member.read(_MAX_BYTES + 1)
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise SceneError(f"{path}: cannot be read ({error}); get the product again") from error
    if len(data) > _MAX_BYTES:
        raise SceneError(f"{path}: larger than {_MAX_BYTES >> 20} MB, so it is no metadata file; take it away")
    return data.decode("utf-8", errors="replace")


@lru_cache(maxsize=16)
def _names(archive: str, _changed_ns: int) -> tuple[str, ...]:
    with zipfile.ZipFile(archive) as opened:
        return tuple(name for name in opened.namelist() if not name.endswith("/"))


def zip_names(archive: str) -> tuple[str, ...]:
    """Return the files in a zip.

    Raises:
        SceneError: It is no zip, or damaged.
    """
    try:
        return _names(archive, Path(archive).stat().st_mtime_ns)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise SceneError(f"{archive}: no zip that can be read ({error}); get it again") from error
