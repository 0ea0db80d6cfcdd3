"""Known products that Bandsight cannot read directly: explains why, and what to do."""

import re
from pathlib import Path

from bandsight.raster.hdf4 import can_read, is_hdf4

_HIMAWARI = re.compile(r"HS_H\d\d_\d{8}_\d{4}_B\d\d_", re.IGNORECASE)
_PACKED_TWICE = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def unreadable(file: Path) -> str | None:
    """Return why a file of a known product cannot be read and what to do, or None for other files.

    Args:
        file: A local file.
    """
    lower = file.name.lower()
    if lower.endswith(_PACKED_TWICE):
        return f"{file}: a compressed tar would be decompressed for every tile; unpack it: tar -xf {file.name}"
    if _HIMAWARI.match(file.name):
        return (
            f"{file}: Himawari Standard Data, which GDAL cannot read; satpy can (its reader "
            "ahi_hsd) and writes GeoTIFF: crop a part of the Earth"
        )
    if lower.endswith(".hdf") and not can_read() and is_hdf4(file):
        return (
            f"{file}: HDF4, which needs the package pyhdf: pip install 'bandsight[hdf4]'; or download the product as "
            "GeoTIFF (NASA's AppEEARS converts it)"
        )
    return None


def swath_problem(product: Path) -> str:
    """Return why a Sentinel-3 product without images cannot be read, and what to do."""
    return (
        f"{product}: has none of the images of OLCI or SLSTR level 1 that Bandsight reads as they are; reproject it "
        "to GeoTIFF (SNAP: Raster, Geometric, Reprojection), and pass that"
    )
