"""What the routes work with: one archive, one model, opened once."""

from dataclasses import dataclass

from bandsight.archive import Archive
from bandsight.catalog.records import ModelIdentity
from bandsight.model.protocol import Encoder
from search_api.settings import ApiSettings


@dataclass(frozen=True, slots=True)
class Service:
    """The open archive and the model that encodes queries for it."""

    settings: ApiSettings
    archive: Archive
    encoder: Encoder


def open_service(settings: ApiSettings) -> Service:
    """Open archive and model.

    Raises:
        ArchiveError: The archive is missing or damaged.
        ModelError: The model cannot be loaded, or is not the archive's.
    """
    from bandsight.model import load_model

    archive = Archive.open(settings.archive)
    try:
        encoder = load_model(settings.model or archive.model.name, settings.device)
        archive.check_model(
            ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
        )
    except BaseException:
        archive.close()
        raise
    return Service(settings, archive, encoder)
