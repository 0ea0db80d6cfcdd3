"""What the routes work with: one archive, one model, opened once."""

import gc
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.catalog.records import ModelIdentity
from bandsight.model.one_at_a_time import OneAtATime
from bandsight.model.protocol import Encoder
from bandsight.search.searcher import Searcher
from search_api.decoding import Decoder
from search_api.middleware.body_limit import too_large
from search_api.settings import ApiSettings

# A GeoParquet file is made before any of it is sent.
_EXPORTERS = 2
# More than a page of a thousand items makes: such objects go with their last user, without the collector.
_NEW_OBJECTS = 200_000
# Pictures are made of files that may be slow to decode: as many at once as there are cores, and a few for the network.
_DRAWERS = (os.cpu_count() or 1) + 2


@dataclass(frozen=True, slots=True)
class Service:
    """The open archive and the model that encodes queries for it."""

    settings: ApiSettings
    archive: Archive
    encoder: Encoder
    decoder: Decoder = field(default_factory=Decoder)
    """Decodes query images."""
    exporting: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_EXPORTERS))
    """Held while an export begins."""
    drawing: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_DRAWERS))
    """Held while a scene's pixels are read for a picture."""
    searcher: Searcher = field(init=False)
    """Answers searches within the server's limits."""

    def __post_init__(self) -> None:
        searcher = Searcher(self.archive, self.encoder, self._decode, max_hits=self.settings.max_hits)
        object.__setattr__(self, "searcher", searcher)

    def _decode(self, data: bytes, wavelengths: Sequence[float] | None) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        settings = self.settings
        if len(data) > settings.max_upload_bytes:
            raise too_large(settings.max_upload_bytes)
        return self.decoder.decode(
            data, wavelengths, max_pixels=settings.max_pixels, time_limit_s=settings.max_decode_s
        )


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
    return Service(settings, archive, OneAtATime(encoder))


def freeze_gc() -> None:
    """Spare the garbage collector what a server has loaded and keeps to its end, and what lives for one answer.

    A page of a thousand items makes so many objects that the collector runs; going through the model's and the
    libraries' objects each time took half of the page's time, going through the page's own a fifth of the rest.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
