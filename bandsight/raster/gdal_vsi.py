"""What GDAL's virtual file systems can be asked beside reading, which rasterio does not offer."""

import ctypes
from contextlib import suppress
from functools import lru_cache

import rasterio._base


def headers(name: str) -> dict[str, str]:
    """Return the headers with which a server answers for a file, names in lower case; none where it does not.

    The file is requested again each time.

    Args:
        name: What GDAL calls the file, e.g. `/vsicurl/https://…`.
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
    """Have GDAL request a remote file again: it also caches failures."""
    library = _gdal()
    if library is not None:
        library.VSICurlPartialClearCache(name.encode())


@lru_cache(maxsize=1)
def _gdal() -> ctypes.CDLL | None:
    """Return the GDAL that rasterio uses (gdal.org, VSIGetFileMetadata and VSICurlPartialClearCache)."""
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
