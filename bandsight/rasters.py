"""Opens rasters with the drivers that scenes come in, and no other."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from bandsight.errors import SceneError

# Drivers that redirect to other files or URLs (VRT, WMS, …) are not among them: a scene must not make us read what
# the user did not name.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "netCDF", "HFA", "ENVI")


def open_raster(path: str | Path, drivers: Sequence[str] = DRIVERS) -> DatasetReader:
    """Return an open raster; the caller closes it.

    Raises:
        SceneError: There is no such file, or no driver can read it.
    """
    if not Path(path).is_file():
        raise SceneError(f"{path}: no such file; check the path")
    try:
        with rasterio.Env(), warnings.catch_warnings():
            # Whoever needs to know where a raster lies says so in an error of its own.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # rasterio.open() takes one driver; its reader takes several.
            return DatasetReader(str(path), driver=list(drivers))
    except RasterioError as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SceneError(
            f"{path}: no raster that can be read ({reason}); need a complete file of one of {', '.join(drivers)}"
        ) from error
