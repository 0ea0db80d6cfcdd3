import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from bandsight.errors import ImageError, QueryError
from bandsight.evaluation import datasets
from bandsight.evaluation.datasets import class_words, part_of, read_dataset, tidy
from bandsight.query_image import numbers
from tests.rasters import picture, write


def _png(colour: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 10, 3), colour, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "places"
    for cls, count in (("SeaLake", 2), ("annual_crop", 1)):
        (root / cls).mkdir(parents=True)
        for number in range(count):
            (root / cls / f"{number}.png").write_bytes(_png(40 * number))
    (root / "README.txt").write_text("not an image")
    return root


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "shard.tar"
    said = {
        "a.jpg.png": _png(1),
        "a.jpg.json": json.dumps({"cls": "BareLand", "captions": ["Some bare land .", "It is bare."]}).encode(),
        "b.png": _png(2),
        "b.cls": b"river",
        "b.txt": b"A river .\nwater\n",
        "c.png": _png(3),
    }
    return _tar_of(path, said)


def test_folders_are_classes(folder):
    images = read_dataset(folder)
    assert [image.cls for image in images] == ["sea lake", "sea lake", "annual crop"]
    assert images[0].pixels.shape == (3, 8, 10)
    assert images[0].key == "SeaLake/0.png"


def test_a_tar_in_webdataset_layout(tar):
    first, second = read_dataset(tar)
    assert (first.cls, first.captions) == ("bare land", ("some bare land", "it is bare"))
    assert (second.cls, second.captions) == ("river", ("a river", "water"))


def _tar_of(path, said):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as out:
        for name, data in said.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        ({"b.json": b"{"}, r"b: \.json: not JSON"),
        ({"b.json": b"[]"}, r"b: \.json: found a JSON list"),
        ({"b.json": b'{"captions": 3}'}, r"b: \.json: captions are 3; need a list of sentences"),
        ({"b.json": b'{"captions": ["a", null]}'}, r"b: \.json: captions are"),
        ({"b.cls": b"\xff"}, r"b: \.cls: not UTF-8"),
        ({"b.cls": b"lake", "b.txt": b"\xff\xfe"}, r"b: \.txt: not UTF-8"),
        ({"b.cls": b"lake", "b.png": b"no picture"}, "b: unknown image format"),
    ],
)
def test_invalid_metadata_of_an_image_skips_only_that_image(tmp_path, beside, reason):
    path = _tar_of(tmp_path / "set.tar", {"a.png": _png(1), "a.cls": b"lake", "b.png": _png(2), **beside})
    with pytest.raises(ImageError, match=rf"set\.tar: {reason}"):
        read_dataset(path)
    left_out = {}
    assert [image.key for image in read_dataset(path, left_out=left_out)] == ["a"]
    assert list(left_out) == ["b"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [(10, (10, 10)), ([30, 0.2], (0.2, 30)), ("10 m", None), ([1, 2, 3], None), (-1, None), (True, None)],
)
def test_the_ground_sample_distance_is_a_number_or_two(tmp_path, said, expected):
    beside = {"a.png": _png(1), "a.json": json.dumps({"cls": "lake", "gsd_m": said}).encode()}
    assert read_dataset(_tar_of(tmp_path / "set.tar", beside))[0].gsd_m == expected


def test_captions_may_have_any_form_or_be_missing(tmp_path):
    said = {"a.png": _png(1), "a.json": b'{"captions": "A long river."}', "b.png": _png(2), "b.txt": b"\n . \n"}
    (image,) = read_dataset(_tar_of(tmp_path / "set.tar", {**said, "c.png": _png(3), "c.json": b'{"captions": null}'}))
    assert image.captions == ("a long river",)


@pytest.mark.parametrize("name", ["cut.tar", "cut.tar.gz"])
def test_a_truncated_tar_is_reported(tmp_path, name):
    noise = np.random.default_rng(0).bytes(40_000)
    path = _tar_of(tmp_path / name, {"a.png": noise, "b.png": noise})
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(QueryError, match=r"cut.*(truncated tar|not a tar)"):
        read_dataset(path)


def test_unusable_files_in_a_folder_are_named_and_the_rest_is_read(folder):
    (folder / "SeaLake" / "2.webp").write_bytes(b"RIFF")
    (folder / "SeaLake" / "3.png").write_bytes(b"")
    (folder / "SeaLake" / "._0.png").write_bytes(b"what a Mac notes")
    (folder / "SeaLake" / "4.png").symlink_to(folder / "gone.png")
    (folder / "annual_crop" / "folder.png").mkdir()
    (folder / "empty").mkdir()
    left_out = {}
    assert len(read_dataset(folder, left_out=left_out)) == 3
    assert left_out == {
        "SeaLake/2.webp": "a .webp file; need a PNG, a JPEG or a GeoTIFF",
        "SeaLake/3.png": "the file is empty; need a PNG, a JPEG or a GeoTIFF",
        "SeaLake/4.png": "a broken link",
        "annual_crop/folder.png": "not a file",
        "empty/": "no images in this folder",
    }
    for cls in ("SeaLake", "annual_crop"):
        (folder / cls).rename(folder / f".{cls}")
    with pytest.raises(QueryError, match=r"no labelled images, only unusable ones \(empty/: no images"):
        read_dataset(folder, left_out={})


def test_passed_wavelengths_apply_to_tiffs_only(folder):
    write(folder / "SeaLake" / "a.tif", picture(4, 16, 16, dtype="uint16"))
    waves = (0.49, 0.56, 0.665, 0.842)
    lengths = {image.key: len(image.wavelengths) for image in read_dataset(folder, wavelengths=waves)}
    assert lengths == {"SeaLake/0.png": 3, "SeaLake/1.png": 3, "SeaLake/a.tif": 4, "annual_crop/0.png": 3}


def test_tiffs_of_many_bands_take_wavelengths(tmp_path):
    root = tmp_path / "many"
    (root / "forest").mkdir(parents=True)
    write(root / "forest" / "a.tif", picture(5, 16, 16))
    with pytest.raises(ImageError, match=r"forest/a\.tif.*wavelengths"):
        read_dataset(root)
    waves = (0.49, 0.56, 0.665, 0.842, 1.61)
    assert read_dataset(root, wavelengths=waves)[0].wavelengths == waves


def test_tiffs_of_one_data_set_are_scaled_equally(tmp_path):
    waves = (0.49, 0.56, 0.665, 0.842)
    rng = np.random.default_rng(0)
    levels = {"lake": (300, 250, 150, 50), "field": (900, 1100, 1200, 2800)}
    for cls, level in levels.items():
        (tmp_path / "set" / cls).mkdir(parents=True)
        for number in range(8):
            values = np.array(level)[:, None, None] + rng.normal(0, 10, (4, 16, 16))
            write(tmp_path / "set" / cls / f"{number}.tif", values.astype(np.uint16))
    lake, field = (
        np.mean([image.pixels.mean(axis=(1, 2)) for image in images], axis=0)
        for images in (
            [image for image in read_dataset(tmp_path / "set", wavelengths=waves) if image.cls == cls]
            for cls in ("lake", "field")
        )
    )
    # An even lake is dark, and not stretched to noise; visible bands keep their colours, infrared has its own range.
    assert lake.max() < 60
    assert lake[0] > lake[1] > lake[2]
    assert field[3] > 240
    assert field[2] > field[1] > field[0] > 150


def test_each_data_type_has_its_own_scaling(tmp_path):
    (tmp_path / "set" / "field").mkdir(parents=True)
    numbers = picture(4, 16, 16)
    for number, values in enumerate((numbers.astype(np.uint16) * 10, numbers.astype(np.float32) / 1000)):
        write(tmp_path / "set" / "field" / f"{number}.tif", values)
    below = numbers.astype(np.int16) - 100
    below[0, :2, :2] = -9999
    write(tmp_path / "set" / "field" / "2.tif", below, nodata=-9999)
    waves = (0.49, 0.56, 0.665, 0.842)
    images = read_dataset(tmp_path / "set", wavelengths=waves)
    assert all(60 < image.pixels.mean() < 200 for image in images)
    np.testing.assert_array_equal(images[0].pixels, images[1].pixels)
    assert (images[2].pixels[0, :2, :2] == 0).all()


def test_a_damaged_image_of_another_part_is_ignored(tmp_path):
    (tmp_path / "set" / "field").mkdir(parents=True)
    for number in range(40):
        write(tmp_path / "set" / "field" / f"{number}.tif", picture(4, 8, 8, dtype="uint16"))
    waves = (0.49, 0.56, 0.665, 0.842)
    held_out = {image.key for image in read_dataset(tmp_path / "set", "held-out", wavelengths=waves)}
    bad = next(f"field/{n}.tif" for n in range(40) if f"field/{n}.tif" not in held_out)
    (tmp_path / "set" / bad).write_bytes(b"II*\0 no more")
    assert {image.key for image in read_dataset(tmp_path / "set", "held-out", wavelengths=waves)} == held_out
    with pytest.raises(ImageError, match=bad):
        read_dataset(tmp_path / "set", wavelengths=waves)


def test_a_large_data_set_is_scaled_by_some_of_its_images(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_SAMPLE", 4)
    (tmp_path / "set" / "field").mkdir(parents=True)
    for number in range(21):
        write(tmp_path / "set" / "field" / f"{number:02}.tif", picture(4, 8, 8, seed=number, dtype="uint16") * 10)
    for number in range(3):
        values = picture(4, 8, 8, seed=number)
        write(tmp_path / "set" / "field" / f"eight-{number}.tif", values, photometric="MINISBLACK")
    decoded = []
    monkeypatch.setattr(datasets, "numbers", lambda data: (decoded.append(data), numbers(data))[1])
    images = read_dataset(tmp_path / "set", wavelengths=(0.49, 0.56, 0.665, 0.842))
    assert len(images) == 24
    # Those of eight bits need no scaling, and of the others not all have a say in it.
    assert 4 <= len(decoded) < 12
    assert 60 < np.mean([image.pixels.mean() for image in images]) < 200


def test_parts_are_disjoint_and_complete_and_depend_only_on_names(folder):
    names = [f"set/{number}" for number in range(4000)]
    shares = {part: sum(part_of(name) == part for name in names) / 4000 for part in ("held-out", "validation", "train")}
    assert sum(shares.values()) == 1
    assert 0.08 < shares["held-out"] < 0.12
    assert 0.035 < shares["validation"] < 0.065
    by_part = [image.key for part in shares for image in _or_none(folder, part)]
    assert sorted(by_part) == sorted(image.key for image in read_dataset(folder))


def _or_none(folder, part):
    try:
        return read_dataset(folder, part)
    except QueryError:
        return []


@pytest.mark.parametrize(
    ("name", "words"),
    [("DenseResidential", "dense residential"), ("denseresidential", "dense residential"), ("bare_land", "bare land"),
     ("Sea-Lake", "sea lake"), ("forest", "forest")],
)  # fmt: skip
def test_class_names_become_words(name, words):
    assert class_words(name) == words


def test_captions_become_typical_queries():
    assert tidy("Many  planes are parked . ") == "many planes are parked"


def test_missing_files_are_named(tmp_path, tar):
    with pytest.raises(QueryError, match="no such file"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(QueryError, match="no labelled image"):
        read_dataset(tmp_path)
    with pytest.raises(QueryError, match="need one of held-out"):
        read_dataset(tar, "test")
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(QueryError, match="not a tar"):
        read_dataset(tmp_path / "x.tar")
