"""Functions of GDAL's virtual file systems that rasterio does not expose."""

import ctypes
from contextlib import suppress
from functools import lru_cache

import rasterio._base


def headers(name: str) -> dict[str, str]:
    """Return the HTTP response headers for a file, with names in lower case; empty if there is no response.

    Every call makes a new request.

    Args:
        name: GDAL name of the file, e.g. `/vsicurl/https://…`.
    """
    library = _gdal()
    if library is None:
        return {}
    forget(name)
    found = library.VSIGetFileMetadata(name.encode(), b"HEADERS", None)
    said = {}
    at = 0
    while found and found[at]:
        header, _, value = found[at].decode("utf-8", errors="replace").partition("=")
        said[header.strip().lower()] = value.strip()
        at += 1
    library.CSLDestroy(found)
    if not said:
        forget(name)
    return said


def forget(name: str) -> None:
    """Clear GDAL's cache for a remote file, because it also caches failures."""
    library = _gdal()
    if library is not None:
        library.VSICurlPartialClearCache(name.encode())


@lru_cache(maxsize=1)
def _gdal() -> ctypes.CDLL | None:
    """Return the GDAL that rasterio uses (gdal.org, VSIGetFileMetadata and VSICurlPartialClearCache)."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(rasterio._base.__file__)  # noqa: SLF001  (this module is linked against libgdal)
        library.VSIGetFileMetadata.restype = ctypes.POINTER(ctypes.c_char_p)
        library.VSIGetFileMetadata.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        library.CSLDestroy.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
        library.CSLDestroy.restype = None
        library.VSICurlPartialClearCache.argtypes = [ctypes.c_char_p]
        library.VSICurlPartialClearCache.restype = None
        return library
    return None
