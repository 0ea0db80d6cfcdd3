import json

import geopandas
import pytest
import shapely

from bandsight.archive import Archive
from bandsight.errors import QueryError
from bandsight.learning.label_files import as_geojson, import_features, read_features
from tests.learning.makers import box, label_truly, place_of


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": shapely.geometry.mapping(geometry), "properties": properties}


def load(archive: Archive, *features, **options):
    chosen = {"class_property": "class", "cls": None, "annotator": "file"} | options
    return import_features(archive, "ponds", {"type": "FeatureCollection", "features": list(features)}, **chosen)


def test_an_export_can_be_imported_unchanged(archive, tmp_path):
    label_truly(archive, "ponds", list(range(1, 40)))
    document = as_geojson(archive.labels.get("ponds"), archive.labels.labels("ponds"))
    archive.labels.create("copy", {"pond": ""})
    done = import_features(
        archive, "copy", json.loads(json.dumps(document)), class_property="class", cls=None, annotator="x"
    )
    assert (done["labels"], done["outside"], done["conflicting"]) == (39, 0, [])

    def told(name):
        return {(one.tile, one.cls, one.annotator) for one in archive.labels.labels(name)}

    assert told("copy") == told("ponds")


def test_a_point_labels_the_tiles_of_every_date_there_and_a_polygon_those_inside(archive):
    where = box(7)
    middle = shapely.Point((where.west + where.east) / 2, (where.south + where.north) / 2)
    assert load(archive, feature(middle, **{"class": "pond"}))["labels"] == 2
    assert {place_of(archive, one.tile) for one in archive.labels.labels("ponds")} == {7}
    around = shapely.box(box(10).west - 0.01, box(10).south - 0.01, box(12).east + 0.01, box(12).north + 0.01)
    assert load(archive, feature(around, **{"class": "pond"}))["labels"] == 6
    small = middle.buffer(0.001)
    assert load(archive, feature(small, **{"class": "pond"}))["labels"] == 2


def test_features_outside_are_counted_and_contradictions_left_out(archive):
    where = box(3)
    middle = shapely.Point((where.west + where.east) / 2, (where.south + where.north) / 2)
    done = load(
        archive,
        feature(middle, **{"class": "pond"}),
        feature(middle, **{"class": "none"}),
        feature(shapely.Point(100, 0), **{"class": "pond"}),
    )
    assert (done["labels"], done["outside"], len(done["conflicting"])) == (0, 1, 2)


def test_classes_of_a_file_are_added_to_the_collection(archive):
    where = box(3)
    middle = shapely.Point((where.west + where.east) / 2, (where.south + where.north) / 2)
    load(archive, feature(middle, kind="lake"), class_property="kind")
    assert archive.labels.get("ponds").classes == ("pond", "lake")


def test_geoparquet_is_read(archive, tmp_path):
    where = box(5)
    table = geopandas.GeoDataFrame(
        {"class": ["pond"]},
        geometry=[shapely.Point((where.west + where.east) / 2, (where.south + where.north) / 2)],
        crs="EPSG:4326",
    )
    table.to_parquet(tmp_path / "points.parquet")
    assert load(archive, *read_features(tmp_path / "points.parquet")["features"])["labels"] == 2


def test_bad_files_are_refused_in_one_sentence(archive):
    for features, message in (
        ([], "found no features"),
        ([{"type": "Feature", "geometry": None, "properties": {"class": "pond"}}], "found the geometry null"),
        ([feature(shapely.Point(1, 95), **{"class": "pond"})], "found the geometry"),
        ([feature(shapely.LineString([(0, 0), (1, 1)]), **{"class": "pond"})], "found the geometry"),
        ([feature(shapely.Point(1, 1), kind="pond")], "no class in property 'class' .it has kind."),
        (["text"], "feature 0 is not a GeoJSON feature"),
    ):
        with pytest.raises(QueryError, match=message):
            load(archive, *features)


def test_an_invalid_geojson_file_is_rejected(tmp_path):
    (tmp_path / "x.geojson").write_text("no json")
    with pytest.raises(QueryError, match="cannot be read"):
        read_features(tmp_path / "x.geojson")
