"""The client, with one interface for local archives and servers."""

import io
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from bandsight.client.atlas import AtlasView
from bandsight.client.backend import Backend
from bandsight.client.examples import picture
from bandsight.client.labels import Labels
from bandsight.client.requests import box, filters, plain, search_body, tile_id
from bandsight.client.results import Results

if TYPE_CHECKING:
    from PIL.Image import Image


class Client:
    """Client of one archive; create it with `connect`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release connections or files."""
        self._backend.close()

    def search(
        self,
        text: str | list[str] | None = None,
        *,
        positive: Any = None,
        negative: Any = None,
        limit: int = 10,
        **options: Any,
    ) -> Results:
        """Return the tiles most similar to the examples, or without examples, all that match the filters.

        Args:
            text: Description of what to find; a list for several.
            positive: Positive examples, one or a list: sentences, tiles (number or Item), places (lon, lat), polygons,
                images.
            negative: Negative examples, likewise.
            limit: Maximum number of items.
            options: Filters of Item Search (`bbox`, `intersects`, `datetime`, `collections`, `ids`, `sensors`,
                `filter`, `sortby`), and options of a search by meaning (`strategy`, `min_score`, `min_probability`,
                `group_by`, `group_limit`, `overlap`, `diversity`, `exact`, `by_cell`). `datetime` is text, a
                `datetime`, or a pair of them (None for an open end); `sortby` may be text, with `-` before a name for
                descending order.

        Raises:
            QueryError: An example is invalid. Other errors are raised when results are read.
        """
        return Results(self._backend, plain(search_body(text, positive, negative, options)), limit)

    def similar(self, item: Any, *, limit: int = 10, **options: Any) -> Results:
        """Return tiles similar to a tile (number or Item), excluding the tile itself; see `search`."""
        return self.search(positive=tile_id(item), limit=limit, **options)

    def item(self, item: Any) -> dict[str, Any]:
        """Return a tile as a STAC Item (a dictionary).

        Args:
            item: The tile's number (int or str), or its Item.

        Raises:
            NotFoundError: The archive does not contain the tile.
        """
        return self._backend.item(tile_id(item))

    def collections(self) -> list[dict[str, Any]]:
        """Return the STAC Collections as dictionaries, with extents, bands and summaries."""
        return self._backend.collections()

    def crop(self, item: Any, path: str | Path) -> Path:
        """Write a tile (number or Item) as GeoTIFF with all bands and their wavelengths.

        Raises:
            SceneError: A file of its scene is missing.
        """
        self._backend.crop(tile_id(item), Path(path))
        return Path(path)

    def classify(self, labels: list[str] | dict[str, Any], image: Any = None, **options: Any) -> dict[str, Any]:
        """Return the best label for tiles or an image, with an independent probability for each label.

        Args:
            labels: Names, or a dictionary from name to one sentence or several.
            image: An image (path, bytes, Pillow image) instead of tiles.
            options: Tile filters, `scene` and `limit`, as in POST /classify.
        """
        body = {"labels": labels, **filters(options)} | ({} if image is None else {"image": picture(image)})
        return self._backend.classify(plain(body))

    def label_collections(self) -> list[dict[str, Any]]:
        """Return the label collections with their classes and label counts."""
        found: list[dict[str, Any]] = self._backend.labels.collections()["collections"]
        return found

    def create_labels(self, name: str, classes: dict[str, str]) -> Labels:
        """Create a label collection.

        Args:
            name: Letters, digits, and `.`, `_`, `-`.
            classes: Sentence that describes each class, e.g. `{"pond": "a pond"}`; may be empty.

        Raises:
            QueryError: The name is in use or invalid, or a class is invalid.
        """
        self._backend.labels.create({"name": name, "classes": classes})
        return self.labels(name)

    def labels(self, name: str) -> Labels:
        """Return a label collection by name, whether or not it exists."""
        return Labels(self._backend.labels, name)

    def atlas(self) -> AtlasView:
        """Return the map of all tiles by how alike they are, whether or not the archive has one yet."""
        return AtlasView(self._backend.atlas)

    def change(
        self,
        before: str,
        after: str,
        *,
        was: str | None = None,
        now: str | None = None,
        like: Any = None,
        limit: int = 20,
        **options: Any,
    ) -> dict[str, Any]:
        """Return the places that changed most between two periods, as a GeoJSON FeatureCollection.

        Args:
            before: The earlier period, e.g. `2009-01-01/2012-12-31`.
            after: The later period, e.g. `2018-01-01/..`.
            was: What the places looked like before: a sentence, or `classifier:NAME`.
            now: What they look like now.
            like: An example of the change, as a pair of tiles (before, after), instead of sentences.
            limit: Maximum number of places.
            options: `max_cloud`, `min_z`, and filters of Item Search.
        """
        asked = {"before": before, "after": after, "was": was, "now": now, "limit": limit}
        return self._backend.change(_change_body(filters(options) | asked, like))

    def change_map(
        self,
        before: str,
        after: str,
        path: str | Path | None = None,
        *,
        was: str | None = None,
        now: str | None = None,
        like: Any = None,
        area: Any = None,
        width: int = 512,
        colormap: str = "inferno",
        **options: Any,
    ) -> "Image | Path":
        """Return a heat map of change as an image, or write it to a .png or a .tif (z-scores).

        Args:
            before: See `change`, as for `after`, `was`, `now` and `like`.
            after: The later period.
            path: Output file; None to return a Pillow image.
            was: What the places looked like before.
            now: What they look like now.
            like: An example of the change.
            area: West, south, east, north of the image; None for all places that were compared.
            width: Width, pixels.
            colormap: magma, inferno, plasma, viridis or cividis.
            options: `max_cloud`, and filters of Item Search.
        """
        body = _change_body(filters(options) | {"before": before, "after": after, "was": was, "now": now}, like)
        return _map(self._backend.change_map, body | {"width": width, "colormap": colormap}, area, path)

    def timeline(self, lon: float, lat: float, text: str | None = None) -> list[dict[str, Any]]:
        """Return the tiles that cover a place in order of date, each with its score for a sentence."""
        body = {"lon": float(lon), "lat": float(lat), "q": text}
        found = self._backend.timeline({name: value for name, value in body.items() if value is not None})
        dates: list[dict[str, Any]] = found["dates"]
        return dates

    def watch(
        self,
        text: str | None = None,
        *,
        positive: Any = None,
        negative: Any = None,
        rank: int | None = None,
        min_score: float | None = None,
        title: str = "",
        webhook: str | None = None,
        secret: str | None = None,
        email: str | None = None,
        quiet: str | None = None,
        digest: Literal["hourly", "daily"] | None = None,
        per_place: bool = True,
        **options: Any,
    ) -> dict[str, Any]:
        """Subscribe to a query, which is matched against every future commit, and return the subscription.

        Args:
            text: See `search`, as for `positive`, `negative` and `options`; `classifier:NAME > 0.8` for a classifier.
            positive: See `search`.
            negative: See `search`.
            rank: Matches must score at least as high as the tile that currently has this rank. Defaults to 10 without
                `min_score`.
            min_score: Minimum score of a match, instead of `rank`.
            title: Human-readable title.
            webhook: URL to which each alert is sent as a CloudEvent.
            secret: Key for signing webhook requests. None generates one, which only this result contains.
            email: Email address for alerts, if the server allows it.
            quiet: Quiet hours without deliveries, e.g. `22:00-07:00 Europe/Berlin`.
            digest: Send alerts as a digest.
            per_place: At most one alert per place, however many dates match.
            options: See `search`.
        """
        body = search_body(text, positive, negative, options)
        own = {"rank": rank, "min_score": min_score, "title": title, "webhook": webhook, "secret": secret}
        own |= {"email": email, "quiet": quiet, "digest": digest}
        body |= {name: value for name, value in own.items() if value is not None}
        return self._backend.alerts.subscribe(plain(body | {"per_place": per_place}))

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return all subscriptions, newest first."""
        found: list[dict[str, Any]] = self._backend.alerts.subscriptions()["subscriptions"]
        return found

    def pause(self, subscription: str, *, paused: bool = True) -> dict[str, Any]:
        """Stop matching commits against a subscription, or resume, and return it."""
        return self._backend.alerts.pause(subscription, paused=paused)

    def unsubscribe(self, subscription: str) -> None:
        """Delete a subscription with its alerts."""
        self._backend.alerts.unsubscribe(subscription)

    def alerts(
        self, limit: int = 100, *, before: int | None = None, subscription: str | None = None
    ) -> list[dict[str, Any]]:
        """Return alerts, newest first. `before` is the `number` of the last alert of the previous page."""
        found: list[dict[str, Any]] = self._backend.alerts.alerts(limit, before, subscription)["alerts"]
        return found

    def heatmap(
        self,
        text: str | list[str] | None = None,
        path: str | Path | None = None,
        *,
        positive: Any = None,
        negative: Any = None,
        area: Any = None,
        width: int = 512,
        colormap: str = "magma",
        **options: Any,
    ) -> "Image | Path":
        """Return a heat map of scores as an image, or write it to a .png or a .tif (raw scores).

        Args:
            text: See `search`, as for `positive`, `negative` and `options`.
            path: Output file; None to return a Pillow image.
            positive: See `search`.
            negative: See `search`.
            area: West, south, east, north of the image; None for all tiles.
            width: Width, pixels.
            colormap: magma, inferno, plasma, viridis or cividis.
            options: See `search`.
        """
        body = search_body(text, positive, negative, options) | {"width": width, "colormap": colormap}
        return _map(self._backend.heatmap, body, area, path)


def _change_body(body: dict[str, Any], like: Any) -> dict[str, Any]:
    if like is not None:
        body = body | {"like": [tile_id(item) for item in like]}
    return plain({name: value for name, value in body.items() if value is not None})


def _map(send: Callable[[dict[str, Any]], bytes], body: dict[str, Any], area: Any, path: Any) -> "Image | Path":
    """Request a map, and return it as an image, or write it to a file whose suffix decides on the format."""
    from PIL import Image

    if area is not None:
        body = body | {"area": box(area, "area")}
    if path is not None and Path(path).suffix.lower() in {".tif", ".tiff"}:
        body = body | {"format": "tif"}
    data = send(plain(body))
    if path is None:
        return Image.open(io.BytesIO(data))
    from bandsight.export.files import save

    return save(Path(path), [data])
