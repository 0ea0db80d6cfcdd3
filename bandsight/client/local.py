"""Local archives: searched in this process, without a server."""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bandsight.alerts.service import AlertService
from bandsight.alerts.webhooks import Targets
from bandsight.archive import Archive
from bandsight.change.heatmap import ChangeCache, change_map
from bandsight.change.requests import ChangeBody, ChangeMapBody, TimelineBody
from bandsight.change.search import change_search
from bandsight.change.timeline import timeline
from bandsight.client.atlas import LocalAtlas
from bandsight.client.backend import ItemsPage, SavedSearch
from bandsight.export.request import ExportBody
from bandsight.learning.service import LabelService
from bandsight.maps.classes import classify
from bandsight.maps.heatmap import heatmap
from bandsight.maps.request import ClassifyBody, HeatmapBody
from bandsight.maps.scores import ScoreCache
from bandsight.search.items import ItemQuery, answer
from bandsight.search.question import question_of
from bandsight.search.ranking import Ranking
from bandsight.search.request import SaveSearchBody, SearchBody, query_of_body
from bandsight.search.saved import SavedRuns, save
from bandsight.search.searcher import Searcher
from bandsight.search.validation import validated
from bandsight.stac import documents
from bandsight.stac.collection_stats import Holdings
from bandsight.stac.items import Root, item_collection, tile_item

if TYPE_CHECKING:
    from bandsight.export.formats import ExportFormat
    from bandsight.model.protocol import Encoder

_MAX_CROP_BYTES = 256 * 2**20


def open_local(where: str | Path, model: str | None, device: str) -> "LocalBackend":
    """Open an archive. The model is loaded by the first request that needs it.

    Args:
        where: Folder or URL of the archive.
        model: Model that encodes queries; None for the archive's own.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ArchiveError: There is no archive, or it cannot be read.
    """
    archive = Archive.open(where)

    def load() -> "Encoder":
        from bandsight.catalog.records import ModelIdentity
        from bandsight.model import load_for_queries

        encoder = load_for_queries(model or archive.model.name, device)
        archive.check_model(
            ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
        )
        return encoder

    return LocalBackend(Searcher(archive, load))


class LocalBackend:
    """Handles requests on an open archive; thread-safe."""

    def __init__(self, searcher: Searcher) -> None:
        """Initialize.

        Args:
            searcher: Archive and model; `close` closes the archive.
        """
        self._searcher, self._archive = searcher, searcher.archive
        self._atlas = LocalAtlas(searcher)
        self._holdings, self._scores, self._changes = Holdings(), ScoreCache(), ChangeCache()

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    @property
    def labels(self) -> LabelService:
        """Requests about labels; see `Backend`."""
        return LabelService(self._searcher)

    @property
    def alerts(self) -> AlertService:
        """Requests about subscriptions and alerts; see `Backend`."""
        return AlertService(self._searcher, Targets.of_environment(os.environ))

    @property
    def atlas(self) -> LocalAtlas:
        """Requests about the atlas; see `Backend`."""
        return self._atlas

    def search(self, body: dict[str, Any], limit: int) -> ItemsPage:
        """Return the first page; see `Backend`."""
        request = validated(SearchBody, body | {"limit": limit})
        question = question_of(self._searcher, request.q, request.semantic)
        return self._page(query_of_body(request, self._searcher.max_hits), question)

    def item(self, tile_id: int) -> dict[str, Any]:
        """Return a tile; see `Backend`."""
        tile = self._archive.tile(tile_id)
        return _plain(tile_item(tile, self._archive.scene(tile.scene_id), None))

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections; see `Backend`."""
        root = Root(server="")
        held = self._holdings.of(self._archive).values()
        pages = [page for one in held for page in documents.collection_pages(one, self._archive.model, root)]
        # Without a server, there is nothing to link to.
        return [_plain({**page, "links": []}) for page in pages]

    def crop(self, tile_id: int, path: Path) -> None:
        """Write a tile as GeoTIFF; see `Backend`."""
        from bandsight.export.files import save as write
        from bandsight.imagery.crops import crop
        from bandsight.imagery.scene_files import check_files

        tile = self._archive.tile(tile_id)
        scene = check_files(self._archive.scene(tile.scene_id))
        write(path, [crop(scene, tile, max_bytes=_MAX_CROP_BYTES)])

    def thumbnail(self, tile_id: int, params: dict[str, Any]) -> bytes:
        """Return a tile as PNG; see `Backend`."""
        from PIL import Image

        from bandsight.imagery.params import ThumbnailParams
        from bandsight.imagery.scene_files import check_files
        from bandsight.imagery.thumbnails import thumbnail

        chosen = validated(ThumbnailParams, params)
        tile = self._archive.tile(tile_id)
        scene = check_files(self._archive.scene(tile.scene_id))
        out = io.BytesIO()
        picture = thumbnail(scene, tile, chosen.size, chosen.spec(scene), transparent=True)
        Image.fromarray(picture).save(out, "PNG")
        return out.getvalue()

    def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the best labels; see `Backend`."""
        return _plain(classify(self._searcher, validated(ClassifyBody, body)))

    def heatmap(self, body: dict[str, Any]) -> bytes:
        """Return a heat map; see `Backend`."""
        return heatmap(self._searcher, self._scores, validated(HeatmapBody, body))

    def export(self, body: dict[str, Any], path: Path, chosen: "ExportFormat", *, vectors: bool) -> None:
        """Write results to a file; see `Backend`."""
        from bandsight.export.files import save as write
        from bandsight.export.pages import ResultPages

        request = validated(ExportBody, body)
        query = query_of_body(request, self._searcher.max_hits)
        ranking = question_of(self._searcher, request.q, request.semantic)
        write(
            path, chosen.stream(ResultPages(self._archive, query, ranking, None, most=request.limit, vectors=vectors))
        )

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return places that changed between two periods; see `Backend`."""
        return _plain(change_search(self._searcher, validated(ChangeBody, body)))

    def change_map(self, body: dict[str, Any]) -> bytes:
        """Return a heat map of change; see `Backend`."""
        return change_map(self._searcher, self._changes, validated(ChangeMapBody, body))

    def timeline(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the dates of a place; see `Backend`."""
        return _plain(timeline(self._searcher, validated(TimelineBody, body)))

    def save(self, body: dict[str, Any]) -> SavedSearch:
        """Save a search; see `Backend`."""
        made = save(self._searcher, SavedRuns(), validated(SaveSearchBody, body))
        return SavedSearch(id=made.id, title=made.title, hits=made.max_hits, url=None)

    def _page(self, query: ItemQuery, ranking: Ranking | None) -> ItemsPage:
        found = answer(self._archive, query, ranking)
        document = _plain(item_collection(found, self._archive.model, None, query.fields))
        if found.next is None:
            return ItemsPage(document=document, next=None)
        # The query is resolved once, so that later pages use the same vectors even if scenes are added.
        after = replace(query, token=found.next)
        return ItemsPage(document=document, next=lambda limit: self._page(replace(after, limit=limit), ranking))


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON round-trip copy, as from a server, that callers may modify."""
    made: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return made
