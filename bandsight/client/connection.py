"""`connect`: to a server by its URL, or to an archive by its folder; both answer the same requests."""

from pathlib import Path

from bandsight.client.client import Client


def connect(where: str | Path, key: str | None = None, *, model: str | None = None, device: str = "auto") -> Client:
    """Return a client of a server or of an archive.

    Args:
        where: http(s)://… of a server, or an archive: its folder, or a URL as `bandsight.archive.locate` takes it.
        key: The server's key, where it has one.
        model: For an archive: the model that encodes queries; None for the archive's own.
        device: For an archive: auto, cpu, cuda or cuda:N.

    Raises:
        BandsightError: No Bandsight server answers there, or it refuses the key.
        ArchiveError: There is no archive, or the URL has an unknown scheme.
    """
    if str(where).lower().startswith(("http://", "https://")):
        from bandsight.client.remote import RemoteBackend

        remote = RemoteBackend(str(where), key)
        try:
            remote.check()
        except BaseException:
            remote.close()
            raise
        return Client(remote)
    from bandsight.client.local import open_local

    return Client(open_local(where, model, device))
