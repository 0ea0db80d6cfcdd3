import json

import numpy as np
import pytest
from PIL import Image

from bandsight.errors import QueryError
from bandsight.evaluation.datasets import read_dataset
from bandsight.evaluation.splits import read_split

KARPATHY = {
    "images": [
        {
            "filename": "airport_1.jpg",
            "split": "test",
            "sentences": [{"raw": "Many planes ."}, {"raw": "An airport ."}],
        },
        {"filename": "lake_2.jpg", "split": "train", "sentences": [{"raw": "A lake ."}]},
        {"filename": "port_3.jpg", "split": "test", "sentences": [{"raw": "Some boats ."}]},
    ]
}
BY_CLASS = {
    "SeaLake": [{"filename": "lake_2.jpg", "split": "test", "raw": "A lake .", "raw_1": "Water ."}],
    "port": [
        {"filename": "port_3.jpg", "split": "test", "raw": "Boats ."},
        {"filename": "airport_1.jpg", "split": "val", "raw": "Planes ."},
    ],
}


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    for place in ("airport_1.jpg", "lake_2.jpg", "more/port_3.jpg", "more/other.jpg"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / place)
    return root


def test_a_list_by_name_is_found_with_the_images_and_brings_the_published_captions(data):
    (data.parent / "dataset_rsicd.json").write_text(json.dumps(KARPATHY))
    split = read_split("rsicd-test", data)
    assert (split.published, len(split.images)) == (1093, 2)
    images = read_dataset(data, split=split)
    assert {image.key: image.captions for image in images} == {
        "airport_1.jpg": ("many planes", "an airport"),
        "more/port_3.jpg": ("some boats",),
    }


def test_annotations_by_class_name_the_classes(data):
    (data / "dataset_nwpu.json").write_text(json.dumps(BY_CLASS))
    images = read_dataset(data, split=read_split("nwpu-test", data))
    assert [(image.cls, image.captions) for image in images] == [
        ("sea lake", ("a lake", "water")),
        ("port", ("boats",)),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "lake_2.jpg\n\nmore/port_3.jpg\n"),
        ("names.json", '["lake_2.jpg", "port_3"]'),
        ("names.json", '{"images": [{"filename": "lake_2.jpg"}, {"filename": "port_3.jpg", "split": "test"}]}'),
    ],
)
def test_a_file_of_names_is_a_list(data, name, text):
    path = data.parent / name
    path.write_text(text)
    assert [image.key for image in read_dataset(data, split=read_split(str(path), data))] == [
        "lake_2.jpg",
        "more/port_3.jpg",
    ]


def test_names_with_a_prefix_are_found_and_missing_ones_are_named(data):
    path = data.parent / "names.txt"
    path.write_text("1.jpg\n2.jpg\n9.jpg\n")
    left_out = {}
    images = read_dataset(data, split=read_split(str(path), data), left_out=left_out)
    assert [image.key for image in images] == ["airport_1.jpg", "lake_2.jpg"]
    assert left_out == {"9": "listed in names, but missing"}


def test_a_list_that_does_not_match_the_images_is_rejected(data):
    with pytest.raises(QueryError, match=r"--split ucm-test: no dataset_ucm\.json in .*pictures or next to it"):
        read_split("ucm-test", data)
    with pytest.raises(QueryError, match="one of rsicd-test, ucm-test, nwpu-test"):
        read_split("nowhere", data)
    path = data.parent / "list.json"
    for text, reason in (
        ("{", "not a list of images"),
        ('{"images": [{"name": "a.jpg"}]}', "not a list of images"),
        ('{"images": [{"filename": "a.jpg", "split": "val"}]}', "found no images of"),
        ('["a.jpg", "b/a.jpg"]', "listed twice"),
    ):
        path.write_text(text)
        with pytest.raises(QueryError, match=reason):
            read_split(str(path), data)
    path.write_text('["nothing.jpg"]')
    with pytest.raises(QueryError, match="contains none of the 1 images of list"):
        read_dataset(data, split=read_split(str(path), data))
    path.write_text('["1.jpg"]')
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(data / "port_1.jpg")
    with pytest.raises(QueryError, match=r"airport_1\.jpg and port_1\.jpg both match '1'"):
        read_dataset(data, split=read_split(str(path), data))
