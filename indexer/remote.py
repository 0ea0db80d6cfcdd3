"""Requests version information of remote files, through GDAL, which has the credentials."""

from bandsight.raster.drivers import be_patient, gdal_name
from bandsight.raster.gdal_vsi import headers


def remote_version(href: str) -> str:
    """Return size and ETag (or modification time) of a remote file; empty if the server states neither.

    Bypasses GDAL's cache.
    """
    be_patient()
    said = headers(gdal_name(href))
    mark = said.get("etag") or said.get("last-modified")
    return f"{said.get('content-length', '')}|{mark}" if mark else ""
