"""`connect` opens a client for a server or a local archive."""

from pathlib import Path

from bandsight.client.client import Client


def connect(where: str | Path, key: str | None = None, *, model: str | None = None, device: str = "auto") -> Client:
    """Return a client for a server or a local archive.

    Args:
        where: URL of a server, http(s)://…, or an archive: its folder, or a URL supported by
            `bandsight.archive.locate`.
        key: API key of the server, if it requires one.
        model: For archives: the model that encodes queries; None for the archive's own.
        device: For archives: auto, cpu, cuda or cuda:N.

    Raises:
        BandsightError: There is no Bandsight server at the URL, or it rejects the key.
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
