import json
from dataclasses import replace

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import shapely
from stac_pydantic import Collection as StacCollection
from stac_pydantic import Item as StacItem

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.footprint import footprint
from bandsight.learning import area, layers
from bandsight.learning.layer_files import write_layer
from bandsight.learning.layer_rasters import write_rasters
from bandsight.learning.training import train
from bandsight.search.classifiers import ClassifierTerm
from bandsight.vectors.cells import CellCodes
from tests.archive.makers import MODEL
from tests.learning.makers import box, dated, is_pond, label_truly, place_of

PONDS = ClassifierTerm(name="ponds")


@pytest.fixture
def trained(searcher):
    label_truly(searcher.archive, "ponds", list(range(1, 101)))
    train(searcher, "ponds")
    return searcher


def test_a_layer_scores_every_tile_as_the_classifier_does(trained):
    archive = trained.archive
    layer = layers.apply_classifier(archive, PONDS)
    (head,) = archive.labels.classifier("ponds").heads
    logits = archive.vectors(layer.ids.tolist()) @ head.weights + head.bias
    assert layer.probabilities == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-4)
    assert len(layer.ids) == 400
    found = list(layers.tile_features(archive, layer, 0.5))
    chances = [one["properties"]["probability"] for one in found]
    assert chances == sorted(chances, reverse=True)
    assert np.mean([is_pond(place_of(archive, one["id"])) for one in found]) > 0.9


def test_new_scenes_are_in_the_next_layer(trained, path):
    before = layers.apply_classifier(trained.archive, PONDS)
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(range(200, 220), 0)])
    after = layers.apply_classifier(trained.archive, PONDS)
    assert len(after.ids) == len(before.ids) + 20
    assert np.array_equal(after.probabilities[: len(before.ids)], before.probabilities)


def test_polygons_are_the_ground_of_the_tiles_and_dates_count_once(trained):
    archive = trained.archive
    layer = layers.apply_classifier(archive, PONDS)
    made = layers.polygons(archive, layer, 0.5)["features"]
    places = {place_of(archive, int(layer.ids[at])) for at in layer.above(0.5)}
    ground = shapely.union_all([shapely.box(b.west, b.south, b.east, b.north) for b in map(box, places)])
    assert shapely.union_all([shapely.geometry.shape(one["geometry"]) for one in made]).area == pytest.approx(
        ground.area
    )
    assert sum(one["properties"]["tiles"] for one in made) == len(layer.above(0.5))


def test_files_of_a_layer_can_be_opened_by_other_programs(trained, tmp_path):
    layer = layers.apply_classifier(trained.archive, PONDS)
    made = write_layer(trained.archive, layer, tmp_path / "layer", 0.5)
    assert made["above"] == len(layer.above(0.5)) > 50
    table = geopandas.read_parquet(tmp_path / "layer" / "tiles.parquet")
    points = json.loads((tmp_path / "layer" / "tiles.geojson").read_text())["features"]
    assert table["id"].tolist() == [one["id"] for one in points]
    assert table.geometry.is_valid.all()
    assert json.loads((tmp_path / "layer" / "layer.json").read_text()) == made


def test_a_raster_has_a_pixel_for_each_cell_of_the_grid_with_statistics_and_colours(tmp_path):
    values = np.linspace(0, 1, 50, dtype=np.float32)
    with grid_archive(tmp_path / "a", "-") as archive:
        layer = _layer(archive)
        (path,) = write_rasters(archive, layer, tmp_path)
    with rasterio.open(path) as made:
        assert (made.width, made.height, made.crs.to_epsg(), made.nodata) == (10, 5, 32633, 255)
        assert made.transform[:6] == (320.0, 0.0, 1600.0, 0.0, -320.0, 6400.0)
        assert made.read(1).ravel().tolist() == np.rint(100 * values).astype(int).tolist()
        assert made.colormap(1)[100][:3] == (165, 0, 38)
        assert float(made.tags(1)["STATISTICS_MEAN"]) == pytest.approx(50, abs=1)
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def grid_archive(path, suffix="", cells=None):
    """Fifty tiles on a shared grid, ten a row; optionally the last column at the edge of its scene, and with cells."""
    with ArchiveWriter.create(path, MODEL) as writer:
        record, tiles, rows = dated(range(50), 0)
        placed = []
        for n, one in enumerate(tiles):
            x, y, edge = 5 + n % 10, -20 + n // 10, suffix if n % 10 == 9 else ""
            # A window at the edge is moved back by half a tile.
            west = 320 * (x - (0.5 if edge else 0))
            ground = footprint((10, 0, west, 0, -10, -320 * y), "EPSG:32633", 0, 0, 32, 32)
            name = f"EPSG:32633/10/32x1/{x}{edge}_{y}"
            placed.append(replace(one, cell=name, geometry=ground.geometry, boxes=ground.boxes))
        writer.add([(record, placed, rows)], {} if cells is None else {record.key: CellCodes.encode(cells)})
    return Archive.open(path)


def test_a_layer_is_a_valid_stac_collection_with_an_item_for_each_raster(tmp_path):
    with grid_archive(tmp_path / "a") as archive:
        layer = _layer(archive)
        made = write_layer(archive, layer, tmp_path / "layer", 0.5)
    collection = pystac.Collection.from_file(str(tmp_path / "layer" / "collection.json"))
    assert set(made["files"]) == {path.name for path in (tmp_path / "layer").iterdir()} - {"layer.json"}
    StacCollection.model_validate(json.loads((tmp_path / "layer" / "collection.json").read_text()))
    (item,) = collection.get_items()
    StacItem.model_validate(json.loads((tmp_path / "layer" / f"{item.id}.json").read_text()))
    asset = item.assets["probability"]
    with rasterio.open(asset.get_absolute_href()) as raster:
        assert item.properties["proj:code"] == raster.crs.to_string()
        assert item.properties["proj:shape"] == [raster.height, raster.width]
        assert asset.extra_fields["bands"][0]["statistics"]["mean"] == pytest.approx(50, abs=1)
    for one in collection.assets.values():
        assert (tmp_path / "layer" / one.href).exists()
    assert collection.extra_fields["bandsight:layer"]["above"] == 25


@pytest.mark.parametrize("suffix", ["", "-"])
def test_a_raster_of_cells_has_a_pixel_for_each_cell_where_its_ground_is(tmp_path, suffix):
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(50, 4, 4, 16)).astype(np.float32)
    cells /= np.linalg.norm(cells, axis=-1, keepdims=True)
    with grid_archive(tmp_path / "a", suffix, cells) as archive:
        layer = _layer(archive)
        (path,) = write_rasters(archive, layer, tmp_path, cells=True)
    with rasterio.open(path) as made:
        percent, transform = made.read(1), made.transform
    assert path.name == "EPSG32633_10_32x1_cells4.tif"
    assert transform[:6] == (80.0, 0.0, 1600.0, 0.0, -80.0, 6400.0)
    # The moved column overlaps half of the one before it.
    assert percent.shape == (20, 38 if suffix else 40)
    (head,) = _classifier().heads
    expected = 100 / (1 + np.exp(-(cells[12] @ head.weights + head.bias)))
    assert np.abs(percent[4:8, 8:12] - expected).max() < 6, "codes of four bits are not exact"
    edge = 100 / (1 + np.exp(-(cells[19] @ head.weights + head.bias)))
    columns = slice(34, 38) if suffix else slice(36, 40)
    assert (percent[4:8, columns] >= edge - 6).all()


def test_a_raster_of_cells_needs_cells(tmp_path):
    with grid_archive(tmp_path / "a") as archive, pytest.raises(QueryError, match="index its scene with --cells 4"):
        write_rasters(archive, _layer(archive), tmp_path, cells=True)


def _layer(archive):
    ids = archive.tile_ids(Filter())
    values = np.linspace(0, 1, 50, dtype=np.float32)
    return layers.Layer(
        classifier=_classifier(), head=_classifier().heads[0], ids=ids, probabilities=values, generation=1
    )


def _classifier():
    from datetime import UTC, datetime

    from bandsight.catalog.labels import Classifier, Head

    head = Head(cls="pond", weights=np.ones(16, np.float32), bias=0.0, calibrated=True)
    return Classifier(
        name="ponds", version=1, created=datetime.now(UTC), model_digest="f" * 64, labels=1, heads=(head,)
    )


def test_versions_are_compared(trained):
    archive = trained.archive
    label_truly(archive, "ponds", list(range(101, 300)))
    train(trained, "ponds")
    made = layers.compare(archive, PONDS, 1, 0.5)
    one, two = (layers.apply_classifier(archive, replace(PONDS, version=number)).above(0.5) for number in (1, 2))
    assert made["both"] + len(made["gained"]) == len(two)
    assert made["both"] + len(made["lost"]) == len(one)
    with pytest.raises(NotFoundError, match="no classifier of version 7"):
        layers.compare(archive, PONDS, 7, 0.5)


def test_the_area_of_a_labelled_sample_holds_the_truth_in_its_interval(trained):
    archive = trained.archive
    layer = layers.apply_classifier(archive, PONDS)
    every = area.draw(archive, layer, 199)["bandsight:design"]["strata"]
    assert sum(one["places"] for one in every) == 200
    archive.labels.delete("ponds")
    archive.labels.create("ponds", {"pond": ""})
    covered = 0
    for seed in range(10):
        sample = area.draw(archive, layer, 100, seed=seed)
        label_truly(archive, "ponds", [one["properties"]["tile"] for one in sample["features"]])
        made = area.report(archive, sample)
        low, high = made["interval_km2"]
        covered += low <= 0.2 * made["total_area_km2"] <= high
    assert covered >= 8
    degree = 111.2
    side = 0.1 / 3 * degree
    assert made["total_area_km2"] == pytest.approx(200 * side * side * np.cos(np.radians(40.25)), rel=0.02)


def test_an_area_without_labels_says_what_to_label(trained):
    layer = layers.apply_classifier(trained.archive, PONDS)
    sample = area.draw(trained.archive, layer, 100)
    trained.archive.labels.delete("ponds")
    trained.archive.labels.create("ponds", {"pond": ""})
    with pytest.raises(QueryError, match=r"0 of .* tiles in the stratum from 0 are labelled; label at least 2"):
        area.report(trained.archive, sample)
    with pytest.raises(QueryError, match="no sampling design"):
        area.report(trained.archive, {"features": []})
    with pytest.raises(QueryError, match="so pass"):
        area.draw(trained.archive, layer, 3)


@pytest.mark.parametrize(
    "sample",
    [
        {"bandsight:design": {}, "features": []},
        {"bandsight:design": {"strata": [{}], "classifier": "ponds", "class": "pond", "version": 1}, "features": []},
        {"bandsight:design": {"strata": [], "classifier": "ponds", "class": "pond", "version": 1}, "features": []},
        {"bandsight:design": [], "features": [1]},
    ],
)
def test_a_sample_that_was_not_drawn_here_is_refused(archive, sample):
    with pytest.raises(QueryError, match="output of bandsight area draw"):
        area.report(archive, sample)
