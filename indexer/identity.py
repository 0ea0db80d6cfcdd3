"""What tells a scene from another one, and from a changed version of itself."""

import hashlib
from collections.abc import Mapping
from typing import Any

from bandsight.errors import SceneError
from bandsight.raster.drivers import check_local, local_file
from indexer.remote import remote_version
from indexer.sidecar import sidecar_path
from indexer.source import Source

_HASHED_BYTES = 1 << 16


def scene_key(source: Source, options: Mapping[str, Any]) -> str:
    """Return a scene's identity: names, sizes, times and ends of its files, their sidecars, and how it is tiled.

    Of a remote file count its URL and what the item that named it says of its version; where that says nothing, size
    and ETag (or time of change), which its server is asked for.

    Raises:
        SceneError: A file cannot be read.
    """
    source.check()
    digest = hashlib.sha256(repr(sorted(options.items())).encode())
    for href in source.hrefs:
        path = local_file(href)
        if path is None:
            digest.update(f"{href}|{source.version or remote_version(href)}|".encode())
            continue
        check_local(path, href)
        digest.update(f"{href}|{source.version}|".encode())
        for file in (path, sidecar_path(path)):
            try:
                if file is not path and not file.is_file():
                    continue
                facts = file.stat()
                digest.update(f"{file.name}|{facts.st_size}|{facts.st_mtime_ns}|".encode())
                with file.open("rb") as opened:
                    digest.update(opened.read(_HASHED_BYTES))
                    opened.seek(max(0, facts.st_size - _HASHED_BYTES))
                    digest.update(opened.read(_HASHED_BYTES))
            except OSError as error:
                raise SceneError(f"{file}: cannot be read ({error.strerror}); check the path and its rights") from error
    return digest.hexdigest()
