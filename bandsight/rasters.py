"""Opens rasters with the drivers that scenes come in, and no other."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from bandsight.errors import SceneError

# Drivers that redirect to other files or URLs (VRT, WMS, …) are not among them: a scene must not make us read what
# the user did not name.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "netCDF", "HFA", "ENVI")

# Filters of warnings belong to the whole process, so only one thread at a time may change them.
_quiet = threading.Lock()


@contextmanager
def placed_or_not() -> Iterator[None]:
    """Open rasters without a warning about missing georeference: whoever needs it says so in an error of its own."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def open_raster(path: str | Path, drivers: Sequence[str] = DRIVERS) -> DatasetReader:
    """Return an open raster; the caller closes it.

    Raises:
        SceneError: There is no such file, or no driver can read it.
    """
    if not Path(path).is_file():
        raise SceneError(f"{path}: no such file; check the path")
    try:
        with rasterio.Env(), placed_or_not():
            # rasterio.open() takes one driver; its reader takes several.
            return DatasetReader(str(path), driver=list(drivers))
    except RasterioError as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SceneError(
            f"{path}: no raster that can be read ({reason}); need a complete file of one of {', '.join(drivers)}"
        ) from error
