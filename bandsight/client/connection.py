"""`connect`: to a server by its URL, or to an archive by its folder; both answer the same questions."""

import io
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bandsight.client.examples import example, examples, picture
from bandsight.client.results import Results
from bandsight.client.transfer import Transfer
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from PIL.Image import Image

# What stands in links of an app that has no address.
_IN_PROCESS = "http://archive.invalid"


def connect(where: str | Path, key: str | None = None, *, model: str | None = None, device: str = "auto") -> "Client":
    """Return a client of a server or of an archive's folder.

    Args:
        where: http(s)://… of a server, or an archive's folder; that is served in this process, without a port.
        key: The server's key, where it has one.
        model: Of a folder: the model that encodes queries; None for the archive's own.
        device: Of a folder: auto, cpu, cuda or cuda:N.

    Raises:
        ArchiveError: There is no archive.
        ModelError: Its model cannot be loaded.
    """
    if str(where).startswith(("http://", "https://")):
        return Client(Transfer(str(where), key))
    from bandsight.archive import check_archive
    from bandsight.client.in_process import InProcess
    from search_api.app import create_app
    from search_api.settings import ApiSettings

    # A server waits for an archive to be made; whoever names a folder here means one that is there.
    check_archive(where)
    # Nobody else can reach it, so no key of the environment counts.
    settings = ApiSettings(archive=Path(where), model=model, device=device, host="127.0.0.1", key=None, public_url=None)
    return Client(Transfer(_IN_PROCESS, None, InProcess(create_app(settings))))


class Client:
    """Asks one archive."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    def __enter__(self) -> Self:
        """Return itself, to be closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self.close()

    def close(self) -> None:
        """Let go of connections, and of a folder's archive."""
        self._transfer.close()

    def search(
        self,
        text: str | list[str] | None = None,
        *,
        positive: Any = None,
        negative: Any = None,
        limit: int = 10,
        **more: Any,
    ) -> Results:
        """Return the places that are most like the examples; without any, all that pass the filters.

        Args:
            text: What the place looks like; a list of sentences for several examples.
            positive: What it is like, one or a list: sentences, tiles' numbers or Items, places (lon, lat), polygons,
                pictures.
            negative: What it is unlike, the same.
            limit: Most items.
            more: Filters as Item Search has them (`bbox`, `intersects`, `datetime`, `collections`, `ids`, `sensors`,
                `filter`, `sortby`), and what `semantic` takes (`strategy`, `min_score`, `min_probability`, `group_by`,
                `group_limit`, `overlap`, `diversity`, `exact`). `datetime` may be a `datetime`, or a pair of them
                (None for an open end); `sortby` may be text, `-` before a name for greatest first.

        Raises:
            QueryError: An example is none; what the server refuses is raised when the results are read.
        """
        return Results(self._transfer, _body(text, positive, negative, more), limit)

    def similar(self, item: Any, *, limit: int = 10, **more: Any) -> Results:
        """Return the places that look like a tile (its number or Item), itself left out; see `search`."""
        return self.search(positive=item, limit=limit, **more)

    def item(self, item_id: int) -> dict[str, Any]:
        """Return a tile's Item as a dictionary.

        Raises:
            NotFoundError: There is none.
        """
        return self._transfer.json("GET", f"/tiles/{item_id}")

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections as dictionaries, with extents and bands."""
        found: list[dict[str, Any]] = self._transfer.json("GET", "/collections")["collections"]
        return found

    def crop(self, item: Any, path: str | Path) -> Path:
        """Write a tile's ground (its number or Item) as GeoTIFF: every band as it is stored, with its wavelength.

        Raises:
            SceneError: The scene's file is gone.
        """
        number = example(item).get("id")
        if number is None:
            raise QueryError(f"item: found {str(item)[:60]!r}; need a tile's number or Item")
        self._transfer.save(Path(path), "GET", f"/tiles/{number}/crop.tif")
        return Path(path)

    def classify(self, labels: list[str] | dict[str, Any], image: Any = None, **where: Any) -> dict[str, Any]:
        """Return which label fits tiles, or a picture, and how likely each is on its own.

        Args:
            labels: Names, or name → one sentence or several.
            image: A picture (path, bytes, Pillow image) instead of tiles.
            where: Filters of tiles, `scene`, `limit`, as POST /classify takes them.
        """
        body = {"labels": labels, **_filters(where)} | ({} if image is None else {"image": picture(image)})
        return self._transfer.json("POST", "/classify", json=body)

    def heatmap(
        self,
        text: str | list[str] | None = None,
        path: str | Path | None = None,
        *,
        positive: Any = None,
        negative: Any = None,
        area: list[float] | None = None,
        width: int = 512,
        colormap: str = "magma",
        **more: Any,
    ) -> "Image | Path":
        """Return a picture of how well each place fits a question, or write it to a .png or .tif (the scores).

        Args:
            text: As of `search`, and so `positive`, `negative`, `more`.
            path: Where to; None to return a Pillow image.
            positive: See `search`.
            negative: See `search`.
            area: West, south, east, north of the picture; all tiles when None.
            width: Pixels.
            colormap: magma, inferno, plasma, viridis or cividis.
            more: See `search`.
        """
        from PIL import Image

        body = _body(text, positive, negative, more)
        made = self._transfer.json("POST", "/searches", json={**body, "hits": 1, "title": "heat map of a client"})
        kind = "tif" if path is not None and Path(path).suffix.lower() in {".tif", ".tiff"} else "png"
        here = f"/searches/{made['id']}/heatmap.{kind}"
        params: dict[str, Any] = {"width": width} | ({"colormap": colormap} if kind == "png" else {})
        if area is not None:
            params["bbox"] = ",".join(str(side) for side in area)
        try:
            if path is not None:
                self._transfer.save(Path(path), "GET", here, params=params)
                return Path(path)
            return Image.open(io.BytesIO(self._transfer.data("GET", here, params=params)))
        finally:
            self._transfer.data("DELETE", f"/searches/{made['id']}")


_SEMANTIC = ("strategy", "min_score", "min_probability", "group_by", "group_limit", "overlap", "diversity", "exact")


def _body(text: Any, positive: Any, negative: Any, more: dict[str, Any]) -> dict[str, Any]:
    semantic = {name: more[name] for name in _SEMANTIC if name in more}
    wanted, unwanted = [*examples(text), *examples(positive)], examples(negative)
    semantic |= {name: value for name, value in (("positive", wanted), ("negative", unwanted)) if value}
    body = _filters({name: value for name, value in more.items() if name not in _SEMANTIC})
    return body | {"semantic": semantic} if semantic else body


def _filters(given: dict[str, Any]) -> dict[str, Any]:
    """Return filters as JSON: geometries of shapely too, CQL2 as text, single names as lists."""
    made = {name: value for name, value in given.items() if value is not None}
    for name in ("collections", "ids", "sensors"):
        if isinstance(made.get(name), (str, int)):
            made[name] = [made[name]]
    if "ids" in made:
        made["ids"] = [str(one) for one in made["ids"]]
    if hasattr(made.get("intersects"), "__geo_interface__"):
        made["intersects"] = made["intersects"].__geo_interface__
    if "bbox" in made:
        made["bbox"] = _box(made["bbox"])
    if "datetime" in made:
        ends = made["datetime"] if isinstance(made["datetime"], (list, tuple)) else [made["datetime"]]
        made["datetime"] = "/".join(map(_moment, ends))
    if isinstance(made.get("sortby"), str):
        names = [name.strip() for name in made["sortby"].split(",")]
        made["sortby"] = [
            {"field": name.lstrip("+-"), "direction": "desc" if name.startswith("-") else "asc"} for name in names
        ]
    if isinstance(made.get("filter"), str):
        made["filter-lang"] = "cql2-text"
    return made


def _box(given: Any) -> list[float]:
    """Return the sides of a box as numbers; text as a URL has it is read, too."""
    try:
        return [float(side) for side in (given.split(",") if isinstance(given, str) else given)]
    except (TypeError, ValueError) as error:
        raise QueryError(f"bbox: found {str(given)[:60]!r}; need west, south, east, north in degrees") from error


def _moment(given: Any) -> str:
    """Return one end of a time as RFC 3339; None is an open one, a time without a zone is UTC."""
    if given is None:
        return ".."
    if not isinstance(given, datetime):
        return str(given)
    return (given.replace(tzinfo=UTC) if given.tzinfo is None else given).isoformat()
