"""Asks servers and object stores what tells a file from a changed one; through GDAL, which has the credentials."""

from bandsight.raster.drivers import be_patient, gdal_name
from bandsight.raster.gdal_vsi import headers


def remote_version(href: str) -> str:
    """Return size and ETag, or time of change, of a remote file; nothing where its server says neither.

    The file is requested again each time, past GDAL's cache.
    """
    be_patient()
    said = headers(gdal_name(href))
    mark = said.get("etag") or said.get("last-modified")
    return f"{said.get('content-length', '')}|{mark}" if mark else ""
