"""Asks servers and object stores what tells a file from a changed one; through GDAL, which has the credentials."""

import ctypes
from contextlib import suppress
from functools import lru_cache

import rasterio._base

from bandsight.rasters import be_patient, gdal_name


def remote_version(href: str) -> str:
    """Return size and ETag, or time of change, of a remote file; nothing where its server says neither.

    The file is asked for anew each time, whatever GDAL has kept of it.
    """
    library = _gdal()
    if library is None:
        return ""
    be_patient()
    place = gdal_name(href).encode()
    library.VSICurlPartialClearCache(place)
    found = library.VSIGetFileMetadata(place, b"HEADERS", None)
    headers = {}
    at = 0
    while found and found[at]:
        name, _, value = found[at].decode("utf-8", errors="replace").partition("=")
        headers[name.strip().lower()] = value.strip()
        at += 1
    library.CSLDestroy(found)
    mark = headers.get("etag") or headers.get("last-modified")
    return f"{headers.get('content-length', '')}|{mark}" if mark else ""


@lru_cache(maxsize=1)
def _gdal() -> ctypes.CDLL | None:
    """Return the GDAL that rasterio uses; it offers no such call in Python (gdal.org, VSIGetFileMetadata)."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(rasterio._base.__file__)  # noqa: SLF001  (its module is linked to the library)
        library.VSIGetFileMetadata.restype = ctypes.POINTER(ctypes.c_char_p)
        library.VSIGetFileMetadata.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        library.CSLDestroy.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
        library.CSLDestroy.restype = None
        library.VSICurlPartialClearCache.argtypes = [ctypes.c_char_p]
        library.VSICurlPartialClearCache.restype = None
        return library
    return None
