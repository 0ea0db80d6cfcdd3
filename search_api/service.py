"""The open archive, its model, and shared resources."""

import ctypes
import gc
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.archive.recall_record import keep_recall
from bandsight.atlas.service import AtlasService
from bandsight.attributes.fields import rfc3339
from bandsight.catalog.records import ModelIdentity
from bandsight.model.protocol import Encoder
from bandsight.search.recall_check import MeasuredRecall, RecallCheck
from bandsight.search.searcher import Searcher, SerializedEncoder
from search_api.decoding import Decoder
from search_api.middleware.body_limit import too_large
from search_api.pyramid_filler import PyramidFiller
from search_api.settings import ApiSettings

# More objects than a page of a thousand items allocates. Reference counting frees them without the collector.
_GC_THRESHOLD = 200_000


@dataclass(frozen=True, slots=True)
class Service:
    """The open archive and the model that encodes queries for it."""

    settings: ApiSettings
    archive: Archive
    encoder: Encoder
    decoder: Decoder = field(default_factory=Decoder)
    """Decodes query images."""
    pyramids: PyramidFiller = field(init=False)
    """Pre-rendered scenes for the map."""
    searcher: Searcher = field(init=False)
    """Runs searches within the server's limits."""
    atlas: AtlasService = field(init=False)
    """The map of the archive's tiles by likeness."""

    def __post_init__(self) -> None:
        check = RecallCheck(self.settings.recall_check_every, self._keep_recall)
        searcher = Searcher(self.archive, self.encoder, self._decode, max_hits=self.settings.max_hits, check=check)
        object.__setattr__(self, "searcher", searcher)
        object.__setattr__(self, "atlas", AtlasService(searcher))
        object.__setattr__(self, "pyramids", PyramidFiller(self.archive.path, self.archive.files))

    def _keep_recall(self, measured: MeasuredRecall) -> None:
        keep_recall(self.archive.path, {**asdict(measured), "time": rfc3339(datetime.now(UTC))})

    def _decode(self, data: bytes, wavelengths: Sequence[float] | None) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        settings = self.settings
        if len(data) > settings.max_upload_bytes:
            raise too_large(settings.max_upload_bytes)
        return self.decoder.decode(
            data, wavelengths, max_pixels=settings.max_pixels, time_limit_s=settings.max_decode_s
        )


class Encoders:
    """The models in use, so that archives with the same model share it; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: WeakValueDictionary[tuple[str, str, str], SerializedEncoder] = WeakValueDictionary()

    def of(self, archive: Archive, settings: ApiSettings) -> SerializedEncoder:
        """Return the model for an archive.

        Raises:
            ModelError: The model cannot be loaded, or is not the archive's model.
        """
        from bandsight.model import load_for_queries

        source = settings.model or archive.model.name
        name = source, settings.device, archive.model.digest
        with self._lock:
            encoder = self._loaded.get(name)
            if encoder is None:
                loaded = load_for_queries(source, settings.device)
                archive.check_model(
                    ModelIdentity(name=loaded.name, digest=loaded.digest, dim=loaded.dim, license=loaded.license)
                )
                encoder = self._loaded[name] = SerializedEncoder(loaded)
        return encoder


def open_service(settings: ApiSettings, encoders: Encoders | None = None) -> Service:
    """Open the archive and load its model.

    Args:
        settings: Server settings.
        encoders: Models that are loaded already.

    Raises:
        ArchiveError: The archive is missing or damaged.
        ModelError: The model cannot be loaded, or is not the archive's model.
    """
    archive = Archive.open(settings.archive)
    try:
        encoder = (encoders or Encoders()).of(archive, settings)
    except BaseException:
        archive.close()
        raise
    return Service(settings, archive, encoder)


def freeze_gc() -> None:
    """Exclude objects loaded at startup from garbage collection, and collect less often.

    A page of a thousand items allocates enough objects to trigger the collector. Traversing objects of the model and
    libraries took half of the time of such a page; traversing the page's own objects took a fifth of the rest.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    _return_free_memory()


def _return_free_memory() -> None:
    """Return to the system what loading the model has freed: glibc keeps it, 110 MB after the embedded model."""
    with suppress(OSError, AttributeError):
        # Other C libraries do not have it.
        ctypes.CDLL(None).malloc_trim(0)
