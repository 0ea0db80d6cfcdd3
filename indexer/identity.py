"""Fingerprints that identify a scene independent of its location, and detect changes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bandsight.errors import SceneError
from bandsight.raster.drivers import check_local, local_file, raster_path
from indexer.remote import remote_version
from indexer.sidecar import sidecar_path
from indexer.source import Source

_HASHED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Identity and version of a scene."""

    identity: str
    """A STAC collection and item, URLs without signatures, or a hash of the files' content; independent of location and
    file names."""
    version: str
    """Changes if the scene's files or sidecars change."""

    def key(self, options: Mapping[str, Any]) -> str:
        """Return the key of the scene for indexing options."""
        text = repr((self.identity, self.version, sorted(options.items())))
        return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(source: Source) -> Fingerprint:
    """Return the fingerprint of a scene.

    Raises:
        SceneError: A file cannot be read.
    """
    source.check()
    parts, version = [], hashlib.sha256(source.version.encode())
    for href in source.hrefs:
        path = local_file(href)
        if path is None:
            parts.append(f"{href.partition('?')[0]}|".encode())
            version.update(f"{source.version or remote_version(href)}|".encode())
            continue
        check_local(path, href)
        # Subdatasets are identified by their name inside the file, because the file may be renamed.
        inner = "" if href == str(path) else raster_path(href).name
        for file in _with_sidecar(path):
            try:
                facts = file.stat()
                version.update(f"{file.name}|{facts.st_size}|{facts.st_mtime_ns}|".encode())
                ends = _ends(file, facts.st_size)
            except OSError as error:
                raise SceneError(
                    f"{file}: cannot be read ({error.strerror}); check the path and its permissions"
                ) from error
            version.update(ends)
            if file is path:
                parts.append(f"{inner}|{facts.st_size}|".encode() + ends)
    stated = source.metadata.identity if source.metadata else ""
    # Sort, so that the order does not depend on names.
    digests = sorted(hashlib.sha256(part).digest() for part in parts)
    own = f"sha256:{hashlib.sha256(b''.join(digests)).hexdigest()}"
    # Item ids without a collection are not unique across catalogues.
    identity = stated if stated.startswith("stac:") and "/" in stated else f"{stated}|{own}" if stated else own
    return Fingerprint(identity=identity, version=version.hexdigest())


def _with_sidecar(path: Path) -> Iterator[Path]:
    yield path
    sidecar = sidecar_path(path)
    if sidecar.is_file():
        yield sidecar


def _ends(file: Path, size: int) -> bytes:
    with file.open("rb") as opened:
        first = opened.read(_HASHED_BYTES)
        opened.seek(max(0, size - _HASHED_BYTES))
        return first + opened.read(_HASHED_BYTES)


def scene_key(source: Source, options: Mapping[str, Any]) -> str:
    """Return the legacy scene key of versions before fingerprints, which depends on the location.

    For remote files, uses the URL and the version stated by the STAC item, or else size and ETag (or modification time)
    requested from the server.

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
                raise SceneError(
                    f"{file}: cannot be read ({error.strerror}); check the path and its permissions"
                ) from error
    return digest.hexdigest()
