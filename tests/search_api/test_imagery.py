"""Imagery routes: only scenes of the archive, with ETags that are valid as long as the picture."""

import base64
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity, Scene
from bandsight.imagery.rendering import scene_styles
from bandsight.imagery.tile_mark import KEYWORD, TileMark, read_mark
from indexer.pipeline import index
from search_api.app import create_app
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write
from tests.search_api.test_errors import assert_problem


def picture_of(response) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)))


def scene_named(archive: Archive, part: str) -> Scene:
    return next(scene for scene in archive.scenes() if part in scene.name)


def map_tile_of(scene: Scene, z: int = 12) -> str:
    box = scene.boxes[0]
    lon, lat = (box.west + box.east) / 2, (box.south + box.north) / 2
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return f"{z}/{int((lon + 180) / 360 * 2**z)}/{int(y * 2**z)}"


def tile_of(archive: Archive, scene: Scene) -> int:
    return next(t for t in range(1, 13) if archive.tile(t).scene_id == scene.id)


def test_styles_suit_the_sensor(client: TestClient, archive: Archive) -> None:
    photo, radar = scene_named(archive, "photo"), scene_named(archive, "S1A")
    styles = client.get(f"/scenes/{photo.id}/styles").json()["styles"]
    assert [one["name"] for one in styles] == ["natural", "red", "green", "blue"]
    assert styles[0] == {"name": "natural", "title": "Natural colour", "bands": ["red", "green", "blue"]}
    styles = client.get(f"/scenes/scene-{radar.id}/styles").json()["styles"]
    assert [one["name"] for one in styles] == ["VV", "dual", "VH"]
    assert styles[1]["bands"] == ["VV", "VH", "VV/VH"]
    tile = client.get("/search", params={"collections": radar.collection, "limit": 1}).json()["features"][0]
    assert client.get(f"/tiles/{tile['id']}/styles").json()["styles"] == styles
    assert client.get(f"/collections/{radar.collection}/styles").json()["styles"] == styles


def test_a_thumbnail_has_the_requested_bands_and_stretch(client: TestClient, archive: Archive) -> None:
    photo, radar = scene_named(archive, "photo"), scene_named(archive, "S1A")
    tiles = {
        scene.id: client.get("/search", params={"collections": scene.collection, "limit": 1}).json()["features"][0][
            "id"
        ]
        for scene in (photo, radar)
    }

    def get(scene: Scene, **params: object) -> np.ndarray:
        return picture_of(client.get(f"/tiles/{tiles[scene.id]}/thumbnail.png", params={"size": 32, **params}))

    colours = get(photo)
    np.testing.assert_array_equal(get(photo, bands="blue,green,red"), colours[..., ::-1])
    np.testing.assert_array_equal(get(photo, style="green")[..., 0], colours[..., 1])
    assert (get(photo, bands="green", rescale="0,50")[colours[..., 1] > 50] == 255).all()
    warm = get(photo, bands="green", colormap="inferno")
    assert not (warm[..., 0] == warm[..., 2]).all()
    whole = get(radar, style="VV")
    np.testing.assert_array_equal(whole, get(radar, style="VV", stretch="scene"))
    own = get(radar, style="VV", stretch="tile")[..., 0]
    assert own.max() == 255
    assert own.min() == 0
    assert np.ptp(whole[..., 0].astype(int)) < 255


def test_a_thumbnail_as_query_image_finds_its_own_tile_first(client: TestClient, archive: Archive) -> None:
    ids = archive.tile_ids(Filter()).tolist()
    assert len(ids) == 12
    for tile in ids:
        drawn = client.get(f"/tiles/{tile}/thumbnail.png", params={"size": 64}).content
        first = client.post("/search", json=_asks(drawn)).json()["features"][0]
        assert first["id"] == f"tile-{tile}" or first["id"] == str(tile)
        assert first["properties"]["bandsight:score"] == pytest.approx(1, abs=1e-3)


def test_a_mark_of_another_archive_or_a_damaged_one_is_ignored(client: TestClient, archive: Archive) -> None:
    tile = archive.tile(int(archive.tile_ids(Filter())[0]))
    scene = archive.scene(tile.scene_id)
    assert read_mark(client.get(f"/tiles/{tile.id}/thumbnail.png").content) == TileMark(tile.id, scene.key)

    def marked(text: str) -> bytes:
        out, info = io.BytesIO(), PngInfo()
        info.add_text(KEYWORD, text)
        Image.new("RGB", (32, 32), "green").save(out, "PNG", pnginfo=info)
        return out.getvalue()

    plain = client.post("/search", json=_asks(marked("{}"))).json()["features"]
    for text in ('{"tile": 1}', '{"tile": "1", "scene": ""}', "[", json.dumps({"tile": tile.id, "scene": "other"})):
        assert client.post("/search", json=_asks(marked(text))).json()["features"] == plain
    assert read_mark(b"") is None
    assert read_mark(marked("{}")[:20]) is None


def _asks(image: bytes) -> dict[str, object]:
    return {"semantic": {"image": {"data": base64.b64encode(image).decode()}}, "limit": 3}


def test_a_scene_and_its_collection_are_drawn_on_the_map(client: TestClient, archive: Archive) -> None:
    scene = scene_named(archive, "photo")
    for path in (f"/scenes/{scene.id}", f"/scenes/scene-{scene.id}", f"/collections/{scene.collection}"):
        described = client.get(f"{path}/tilejson.json", params={"style": "green", "size": 512}).json()
        assert described["tilejson"] == "3.0.0"
        assert described["minzoom"] <= described["center"][2] <= described["maxzoom"]
        template = urlsplit(described["tiles"][0])
        assert template.query == "style=green&size=512"
        z, x, y = map_tile_of(scene).split("/")
        path_of_tile = template.path.replace("{z}", z).replace("{x}", x).replace("{y}", y)
        drawn = picture_of(client.get(f"{path_of_tile}?{template.query}"))
        assert drawn.shape == (512, 512, 4)
        assert 0 < (drawn[..., 3] == 255).mean() < 1
        assert picture_of(client.get(f"{path}/tiles/{map_tile_of(scene)}.png")).shape == (256, 256, 4)
        empty = picture_of(client.get(f"{path}/tiles/12/0/0.png"))
        assert not empty.any()


def test_a_scene_beside_the_antimeridian_is_drawn_on_both_sides(client: TestClient, archive: Archive) -> None:
    fiji = scene_named(archive, "fiji")
    rows = {int(map_tile_of(fiji, 9).split("/")[2]) + step for step in (-1, 0, 1)}
    for x in (0, 2**9 - 1):
        drawn = [picture_of(client.get(f"/scenes/{fiji.id}/tiles/9/{x}/{y}.png")) for y in rows]
        assert any(one[..., 3].any() for one in drawn)
    bounds = client.get(f"/scenes/{fiji.id}/tilejson.json").json()["bounds"]
    assert bounds[0] == -180
    assert bounds[2] == 180


def test_a_matching_etag_gets_304(client: TestClient, archive: Archive) -> None:
    scene = scene_named(archive, "photo")
    paths = [
        f"/tiles/{tile_of(archive, scene)}/thumbnail.png?size=64",
        f"/tiles/{tile_of(archive, scene)}/crop.tif",
        f"/scenes/{scene.id}/tiles/{map_tile_of(scene)}.png",
        f"/collections/{scene.collection}/tiles/{map_tile_of(scene)}.png",
    ]
    for path in paths:
        first = client.get(path)
        tag = first.headers["etag"]
        assert "max-age" in first.headers["cache-control"]
        for known in (tag, f'"other", W/{tag}', "*"):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content
        more = f"{path}{'&' if '?' in path else '?'}{'scale=2' if 'crop' in path else 'style=green'}"
        assert client.get(more).headers["etag"] != tag


def test_an_etag_names_the_archive(client: TestClient, archive: Archive, scenes: Path, tmp_path: Path) -> None:
    model = FakeEmbedder()
    with ArchiveWriter.create(tmp_path / "twin", archive.model) as twin:
        index([scenes], archive=twin, model=model)
        settings = ApiSettings(archive=twin.path)
        with TestClient(create_app(settings, Service(settings, twin, model))) as other:
            scene = scene_named(archive, "photo")
            path = f"/scenes/{scene.id}/tiles/{map_tile_of(scene)}.png"
            assert scene_named(twin, "photo").key == scene.key
            first, second = client.get(path), other.get(path)
            assert first.content == second.content
            assert first.headers["etag"] != second.headers["etag"]


def test_responses_behind_a_key_are_not_for_shared_caches(serve: Callable[..., TestClient]) -> None:
    with serve(key="0123456789abcdef") as client:
        response = client.get("/tiles/1/thumbnail.png", headers={"Authorization": "Bearer 0123456789abcdef"})
    assert response.headers["cache-control"].startswith("private")


def test_a_crop_has_all_stored_bands_and_their_wavelengths(client: TestClient, archive: Archive) -> None:
    scene = scene_named(archive, "S1A")
    item = client.get("/search", params={"collections": scene.collection, "limit": 1}).json()["features"][0]
    response = client.get(f"/tiles/{item['id']}/crop.tif")
    assert response.headers["content-disposition"] == f'attachment; filename="tile-{item["id"]}.tif"'
    with rasterio.MemoryFile(response.content) as memory, memory.open() as cut, rasterio.open(scene.href) as whole:
        col, row, width, height = item["properties"]["bandsight:window"]
        stored = whole.read(window=((row, row + height), (col, col + width)))
        np.testing.assert_array_equal(cut.read(), stored)
        assert cut.dtypes == whole.dtypes
        assert cut.descriptions == ("VV", "VH")
        assert [cut.tags(n, ns="IMAGERY")["CENTRAL_WAVELENGTH_UM"] for n in (1, 2)] == ["5.405", "5.405"]
        assert list(cut.transform)[:6] == item["properties"]["proj:transform"]
        assert list(cut.shape) == item["properties"]["proj:shape"]
        assert cut.crs.to_string() == item["properties"]["proj:code"]
        assert cut.dataset_mask().all()


@pytest.mark.parametrize("part", ["photo", "S1A"])
def test_a_crop_sent_back_as_a_query_finds_its_own_tile(client: TestClient, archive: Archive, part: str) -> None:
    scene = scene_named(archive, part)
    for item in client.get("/search", params={"collections": scene.collection}).json()["features"]:
        data = client.get(f"/tiles/{item['id']}/crop.tif").content
        response = client.post("/search", files={"image": data}, data={"body": '{"limit": 1}'})
        assert response.status_code == 200, response.text
        found = response.json()["features"][0]
        assert found["properties"]["bandsight:score"] > 0.9999
        assert found["id"] == item["id"]


@pytest.fixture
def movable(tmp_path: Path) -> Iterator[tuple[TestClient, Path, Archive]]:
    """Two scenes of one place and their archive, which tests may modify."""
    grid = FakeEmbedder.image_size * 10
    for name, seed in (("photo_20200501.tif", 1), ("photo_20210501.tif", 2)):
        write(tmp_path / "scenes" / name, picture(3, 64, 64, seed=seed), origin=(1250.0 * grid, 18125.0 * grid))
    model = FakeEmbedder()
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(tmp_path / "archive", identity) as archive:
        index([tmp_path / "scenes"], archive=archive, model=model)
        settings = ApiSettings(archive=archive.path)
        app = create_app(settings, Service(settings, archive, model))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client, tmp_path / "scenes", archive


def test_a_mosaic_shows_the_newest_scene(movable: tuple[TestClient, Path, Archive]) -> None:
    client, _, archive = movable
    old, new = scene_named(archive, "2020"), scene_named(archive, "2021")
    path = f"tiles/{map_tile_of(new)}.png"
    mosaic = picture_of(client.get(f"/collections/{new.collection}/{path}"))
    # The mosaic comes from the scene's pyramid, which is compressed, and the scene's tile from its file.
    assert difference(mosaic, picture_of(client.get(f"/scenes/{new.id}/{path}"))) < 9
    assert difference(mosaic, picture_of(client.get(f"/scenes/{old.id}/{path}"))) > 12


def test_the_mosaic_of_the_archive_shows_every_collection_and_natural_colour_on_top(
    client: TestClient, archive: Archive
) -> None:
    described = client.get("/imagery/tilejson.json").json()
    assert described["minzoom"] < described["maxzoom"]
    assert described["tiles"] == ["http://testserver/imagery/tiles/{z}/{x}/{y}.png"]
    for name in ("photo", "S1A"):
        scene = scene_named(archive, name)
        path = f"tiles/{map_tile_of(scene)}.png"
        alone = picture_of(client.get(f"/collections/{scene.collection}/{path}"))
        together = picture_of(client.get(f"/imagery/{path}"))
        assert (together[..., 3] >= alone[..., 3]).all()
        if scene_styles(scene)[0].name == "natural":
            shown = alone[..., 3] > 0
            np.testing.assert_array_equal(together[shown], alone[shown])
    assert not picture_of(client.get("/imagery/tiles/10/0/0.png")).any()
    assert_problem(client.get("/imagery/tiles/2/4/0.png"), 400, "x", "0 to 3")
    assert_problem(client.get("/imagery/tilejson.json?style=natural"), 400, "style", "not a parameter")


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean difference of two pictures where both show something."""
    both = (one[..., 3] > 0) & (other[..., 3] > 0)
    assert both.any()
    return float(np.abs(one[both].astype(int) - other[both]).mean())


def test_the_etag_of_a_mosaic_is_valid_until_its_scenes_change(movable: tuple[TestClient, Path, Archive]) -> None:
    client, _, archive = movable
    new = scene_named(archive, "2021")
    path = f"/collections/{new.collection}/tiles/{map_tile_of(new)}.png"
    tag = client.get(path).headers["etag"]
    archive.remove([new.href])
    response = client.get(path, headers={"If-None-Match": tag})
    assert response.status_code == 200
    assert response.headers["etag"] != tag


def test_a_scene_without_its_file_is_410_even_with_a_matching_etag(
    movable: tuple[TestClient, Path, Archive],
) -> None:
    client, folder, archive = movable
    scene = scene_named(archive, "2020")
    tile = tile_of(archive, scene)
    paths = [f"/tiles/{tile}/thumbnail.png", f"/tiles/{tile}/crop.tif"]
    paths += [f"/scenes/{scene.id}/tiles/{map_tile_of(scene)}.png", f"/scenes/{scene.id}/tilejson.json"]
    shutil.move(folder / "photo_20200501.tif", folder / "elsewhere.tif")
    for path in paths:
        assert_problem(client.get(path, headers={"If-None-Match": "*"}), 410, "photo_20200501.tif")
    # A mosaic still shows the others.
    assert picture_of(client.get(f"/collections/{scene.collection}/tiles/{map_tile_of(scene)}.png"))[..., 3].any()


def test_a_file_that_was_replaced_by_a_redirection_is_not_followed(
    movable: tuple[TestClient, Path, Archive], tmp_path: Path
) -> None:
    client, folder, archive = movable
    scene = scene_named(archive, "2020")
    tile = tile_of(archive, scene)
    secret = write(tmp_path / "secret.tif", picture(3, 64, 64, seed=9))
    vrt = (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (folder / "photo_20200501.tif").write_text(vrt)
    for path in (f"/tiles/{tile}/thumbnail.png", f"/scenes/{scene.id}/tiles/{map_tile_of(scene)}.png"):
        response = client.get(path)
        assert_problem(response, 410, "photo_20200501.tif")
        assert "secret" not in response.text


@pytest.mark.parametrize(
    "path", ["/tiles/{tile}/thumbnail.png", "/scenes/{scene}/tiles/12/0/0.png", "/scenes/{scene}/tilejson.json"]
)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("style=none", ["style", "'none'", "natural"]),
        ("style=", ["style", "''"]),
        ("bands=none", ["bands", "'none'", "red"]),
        ("bands=", ["bands", "''"]),
        ("bands=red,green", ["bands", "2", "3"]),
        ("bands=red,green,blue,red", ["bands", "4"]),
        ("bands=red&style=natural", ["style, bands", "combined"]),
        ("rescale=", ["rescale", "not a list of numbers"]),
        ("rescale=1", ["rescale", "1 numbers", "low,high"]),
        ("rescale=5,1", ["rescale", "'5,1'", "low < high"]),
        ("rescale=nan,1", ["rescale", "nan"]),
        ("rescale=0,inf", ["rescale", "inf"]),
        ("rescale=0,1,0,1", ["rescale", "2 ranges", "3 bands"]),
        ("rescale=" + ",".join(["0,1"] * 20), ["rescale", "40 numbers"]),
        ("colormap=none&bands=red", ["colormap", "'none'", "inferno"]),
        ("colormap=inferno", ["colormap", "three bands"]),
        ("url=http://example.org/a.tif", ["url", "not a parameter"]),
        ("size=7", ["size", "7"]),
    ],
)
def test_an_invalid_parameter_of_an_image_is_named(
    client: TestClient, archive: Archive, path: str, query: str, words: list[str]
) -> None:
    scene = scene_named(archive, "photo")
    here = path.format(scene=scene.id, tile=tile_of(archive, scene))
    assert_problem(client.get(f"{here}?{query}"), 400, *words)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tiles/9999/thumbnail.png", 404, ["9999"]),
        ("/tiles/9999/styles", 404, ["9999"]),
        ("/tiles/9999/crop.tif", 404, ["9999"]),
        ("/tiles/x/crop.tif", 400, ["tile_id", "'x'"]),
        ("/tiles/1/thumbnail.png?stretch=none", 400, ["stretch", "'none'", "scene"]),
        ("/tiles/1/crop.tif?scale=0", 400, ["scale", "found 0"]),
        ("/tiles/1/crop.tif?scale=9999", 400, ["scale", "found 9999"]),
        ("/tiles/1/crop.tif?bands=red", 400, ["bands", "not a parameter"]),
        ("/scenes/9999/styles", 404, ["9999"]),
        ("/scenes/x/styles", 400, ["scene_id", "'x'"]),
        ("/scenes/" + "9" * 19 + "/styles", 404, ["9999"]),
        ("/scenes/1/tiles/25/0/0.png", 400, ["z", "found 25"]),
        ("/scenes/1/tiles/2/4/0.png", 400, ["x", "4", "0 to 3"]),
        ("/scenes/1/tiles/2/0/-1.png", 400, ["y", "found -1"]),
        ("/scenes/1/tiles/a/0/0.png", 400, ["z", "'a'"]),
        ("/collections/none/styles", 404, ["collection_id", "'none'"]),
        ("/collections/none/tilejson.json", 404, ["collection_id", "'none'"]),
        ("/collections/none/tiles/0/0/0.png", 404, ["collection_id", "'none'"]),
        ("/collections/sentinel-1-grd/tiles/0/0/0.png?style=natural", 400, ["style", "'natural'", "dual"]),
        ("/collections/sentinel-1-grd/tilejson.json?bands=red", 400, ["bands", "'red'", "VV"]),
    ],
)
def test_an_unknown_image_is_named(client: TestClient, path: str, status: int, words: list[str]) -> None:
    assert_problem(client.get(path), status, *words)


def test_a_crop_that_is_too_large_is_rejected_before_reading(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search_api.imagery.tile_routes._MAX_CROP_BYTES", 1000)
    assert_problem(client.get("/tiles/1/crop.tif"), 400, "scale", "at most 1,000")
    assert client.get("/tiles/1/crop.tif?scale=8").status_code == 200


def test_items_link_to_their_images(client: TestClient, archive: Archive) -> None:
    tile = client.get("/search?limit=1").json()["features"][0]
    assert {"thumbnail", "crop"} <= set(tile["assets"])
    for asset in tile["assets"].values():
        response = client.get(urlsplit(asset["href"]).path)
        assert response.headers["content-type"] == asset["type"]
    scene = client.get(f"/collections/{tile['collection']}.scenes/items?limit=1").json()["features"][0]
    collection = client.get(f"/collections/{tile['collection']}").json()
    for item in (tile, scene, collection):
        link = next(link for link in item["links"] if link["rel"] == "tilejson")
        assert json.loads(client.get(urlsplit(link["href"]).path).content)["tilejson"] == "3.0.0"
