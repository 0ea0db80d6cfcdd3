"""The commands as a user types them; the embedded model is loaded once, in this process."""

import csv
import json
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bandsight import cli
from bandsight.catalog.records import Hit
from bandsight.cli import loading as opening
from bandsight.cli.contact_sheet import captions
from bandsight.cli.serving import check_port
from bandsight.model.selftest import _forest, _water
from tests.commands import run_command
from tests.rasters import picture, write


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of dark water, woods and ploughed ground, and one file that is no raster."""
    folder = tmp_path_factory.mktemp("scenes")
    write(folder / "a_20200501.tif", picture(3, 256, 256))
    values = np.full((3, 128, 128), 40, np.uint8)
    values[2] = 90
    write(folder / "water.tif", values + picture(3, 128, 128, seed=5) // 64, origin=(500_000, 5_800_000))
    (folder / "broken.tif").write_text("no raster")
    return folder


@pytest.fixture(scope="module")
def run():
    """Return a runner that gives exit code, stdout and stderr, as `bandsight` on the command line would."""
    from bandsight.model import load_model

    model = load_model("embedded", "cpu")

    def runner(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(opening, "load", lambda *_: model)
        monkeypatch.setattr(opening, "load_for_queries", lambda *_: model)
        return run_command(capsys, monkeypatch, *arguments)

    return runner


@pytest.fixture(scope="module")
def archive(scenes, run, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "archive"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bandsight", "index", str(scenes), "--archive", str(path)])
        from bandsight.model import load_model

        patch.setattr(opening, "load", lambda *_: load_model("embedded", "cpu"))
        patch.setattr(opening, "load_for_queries", lambda *_: load_model("embedded", "cpu"))
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 1  # broken.tif
    return path


@pytest.fixture
def bandsight(run, capsys, monkeypatch, archive):
    def call(*arguments: str) -> tuple[int, str, str]:
        return run(capsys, monkeypatch, *arguments, "--archive", str(archive))

    return call


def test_indexing_again_does_nothing_but_lists_failures(bandsight, scenes):
    code, out, _ = bandsight("index", str(scenes))
    assert code == 1
    assert "broken.tif" in out
    assert "2 scenes already in the archive" in out


def test_a_sentence_ranks_tiles(bandsight, tmp_path):
    out_file, sheet = tmp_path / "hits.geojson", tmp_path / "sheet.png"
    code, out, _ = bandsight("search", "open water", "--top", "3", "--out", str(out_file), "--sheet", str(sheet))
    assert code == 0
    found = json.loads(out_file.read_text())
    # A heading, the hits, and a last line where the model finds none of them likely.
    assert len(out.splitlines()) == 4 + found["nothing_matches"]
    assert ("No good matches" in out) == found["nothing_matches"]
    assert [f["properties"]["bandsight:rank"] for f in found["features"]] == [1, 2, 3]
    assert found["features"][0]["properties"]["title"] == "water.tif"
    assert all(0 < f["properties"]["bandsight:probability"] < 1 for f in found["features"])
    with Image.open(sheet) as picture_of_hits:
        assert picture_of_hits.width > 500
    table = tmp_path / "hits.csv"
    assert bandsight("search", "open water", "--top", "3", "--out", str(table))[0] == 0
    with table.open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [f["id"] for f in found["features"]]


def test_an_image_ranks_tiles_and_json_goes_to_stdout(bandsight, tmp_path):
    Image.fromarray(np.full((90, 70, 3), (40, 40, 92), np.uint8)).save(tmp_path / "q.png")
    code, out, _ = bandsight("search", "--image", str(tmp_path / "q.png"), "--top", "1", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["features"][0]["properties"]["title"] == "water.tif"
    assert found["features"][0]["properties"]["bandsight:probability"] is None


def test_filters_narrow_results_and_an_empty_result_describes_the_archive(bandsight):
    _, out, _ = bandsight("search", "x", "--datetime", "2020-05-01", "--json", "--top", "99")
    assert {f["properties"]["title"] for f in json.loads(out)["features"]} == {"a_20200501.tif"}
    code, _, err = bandsight("search", "x", "--sensor", "sentinel9")
    assert code == 1
    assert "sensors: found 'sentinel9', not in this archive; available" in err
    code, out, _ = bandsight("search", "x", "--bbox", "0,0,1,1")
    assert code == 0
    assert "No tiles match these filters" in out
    assert "rgb" in out


def test_similar_by_id_and_by_point_leaves_the_tile_itself_out(bandsight):
    _, out, _ = bandsight("search", "open water", "--top", "1", "--json")
    hit = json.loads(out)["features"][0]
    tile = int(hit["id"])
    code, out, _ = bandsight("similar", str(tile), "--json", "--top", "50")
    ids = [int(f["id"]) for f in json.loads(out)["features"]]
    assert code == 0
    assert ids
    assert tile not in ids
    ring = hit["geometry"]["coordinates"][0]
    lon, lat = (sum(point[axis] for point in ring[:-1]) / (len(ring) - 1) for axis in (0, 1))
    code, out, _ = bandsight("similar", "--at", f"{lon},{lat}", "--json", "--top", "50")
    assert [int(f["id"]) for f in json.loads(out)["features"]] == ids


def test_classes_status_and_verify(bandsight):
    code, out, _ = bandsight("classify", "--labels", "open water,dense forest")
    assert code == 0
    assert "open water:" in out
    code, out, _ = bandsight("status")
    assert "tiles:" in out
    assert "broken.tif" in out
    code, out, _ = bandsight("status", "--json")
    assert json.loads(out)["model"] == "embedded"
    assert bandsight("verify", "--full")[:2] == (0, "no problems found\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", ""], "the text is empty"),
        (["search", "a" * 10_000], "10000 characters; at most 1000"),
        (["search"], "found no example; pass a sentence, --image FILE"),
        (["search", "--image", "/nowhere.png"], "cannot be read"),
        (["search", "x", "--bbox", "1,2,3"], "found 3 numbers"),
        (["search", "x", "--datetime", "yesterday"], "is not a date"),
        (["similar", "999999"], "no such tile"),
        (["similar", "--at", "0,0"], "no tile of the archive covers"),
        (["classify", "--labels", "one"], "need 2 to 100"),
        (["index", "/nowhere"], "no such file or folder"),
        (["index", "stac:http://x", "--bbox", "1,2"], "found 2 numbers"),
        (["index", ".", "--scales", "1,x"], "need whole numbers separated by commas"),
        (["search", "x", "--out", "/nowhere/x.json"], "/nowhere/x.json: cannot be written (No such file or directory)"),
        (["search", "x", "--out", "x.doc"], "x.doc: found .doc; need one of .geojson, .json, .csv, .parquet"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exit_1(bandsight, arguments, message):
    code, out, err = bandsight(*arguments)
    lines = [line for line in err.splitlines() if not line.startswith("model ")]
    assert (code, out) == (1, "")
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(("side", "message"), [(8_000, "8000×8000 pixels; at most"), (30_000, "at most 50,000,000")])
def test_a_png_bomb_as_query_is_refused_by_its_size(bandsight, tmp_path, side, message):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(bomb)
    code, _, err = bandsight("search", "--image", str(bomb))
    assert code == 1
    assert message in err


def test_an_archive_of_another_model_is_refused(bandsight, archive, monkeypatch, run, capsys):
    from tests.fakes import FakeEmbedder

    fake = FakeEmbedder()
    fake.device = "cpu"
    monkeypatch.setattr(sys, "argv", ["bandsight", "search", "x", "--archive", str(archive)])
    monkeypatch.setattr(opening, "load", lambda *_: fake)
    monkeypatch.setattr(opening, "load_for_queries", lambda *_: fake)
    with pytest.raises(SystemExit):
        cli.main()
    assert "pass --model embedded" in capsys.readouterr().err


def test_a_missing_archive_says_how_to_create_one(run, capsys, monkeypatch, tmp_path):
    code, _, err = run(capsys, monkeypatch, "status", "--archive", str(tmp_path))
    assert code == 1
    assert "bandsight index" in err


def test_sensors_are_listed_shown_and_matched(run, capsys, monkeypatch, scenes, tmp_path):
    code, out, _ = run(capsys, monkeypatch, "sensors", "list")
    assert (code, "sentinel2_l2a" in out) == (0, True)
    code, out, _ = run(capsys, monkeypatch, "sensors", "show", "landsat89_sr")
    assert (code, "surface reflectance = stored × 2.75e-05" in out) == (0, True)
    code, out, err = run(capsys, monkeypatch, "sensors", "show", "nothing")
    assert (code, out) == (1, "")
    assert "no such profile" in err
    code, out, _ = run(capsys, monkeypatch, "sensors", "match", str(scenes))
    assert code == 1  # broken.tif
    assert "water.tif: rgb, bands from: colour interpretation" in out
    assert "broken.tif: not a readable raster" in out


def test_a_profile_of_the_docs_is_taken_from_the_users_folder(run, capsys, monkeypatch, tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "sensors.md").read_text()
    # An indented block ends where a line begins at the margin.
    block = re.split(r"\n(?=\S)", text[text.index("    title = ") :])[0]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "drone5.toml").write_text("\n".join(line[4:] for line in block.splitlines()))
    write(tmp_path / "IMG_0001_1.tif", picture(5, 64, 64, dtype="uint16") * 40)
    code, out, _ = run(
        capsys, monkeypatch, "sensors", "match", str(tmp_path / "IMG_0001_1.tif"), "--profiles", str(tmp_path / "mine")
    )
    assert code == 0
    assert "drone5, bands from: file names" in out
    assert "0.717 µm" in out


def test_a_job_is_estimated_then_logged_and_summed_up_as_json(run, capsys, monkeypatch, scenes, tmp_path):
    arguments = ("index", str(scenes / "water.tif"), "--archive", str(tmp_path / "new"))
    code, out, _ = run(capsys, monkeypatch, *arguments, "--dry-run")
    assert (code, (tmp_path / "new").exists()) == (0, False)
    assert "would index at most" in out
    code, out, _ = run(capsys, monkeypatch, *arguments, "--dry-run", "--json")
    assert (json.loads(out)["scenes"], json.loads(out)["tiles_at_most"] > 0) == (1, True)
    code, out, _ = run(capsys, monkeypatch, *arguments, "--json", "--quiet", "--log", str(tmp_path / "log.jsonl"))
    found = json.loads(out)
    assert (code, found["scenes"], found["failed"]) == (0, 1, [])
    events = [json.loads(line)["event"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert events == ["begin", "opened", "committed", "end"]


def test_a_mistyped_sensor_is_reported_before_anything_is_opened(run, capsys, monkeypatch, scenes, tmp_path):
    arguments = ("index", str(scenes), "--archive", str(tmp_path / "new"), "--sensor", "sentinel3")
    code, _, err = run(capsys, monkeypatch, *arguments)
    assert (code, (tmp_path / "new").exists()) == (1, False)
    assert "no such profile; need one of" in err


def test_jobs_are_listed_while_they_run_and_afterwards(bandsight, archive, run, capsys, monkeypatch, tmp_path, scenes):
    from bandsight.archive import Archive, ArchiveWriter
    from bandsight.catalog.jobs import Counts

    code, out, _ = bandsight("jobs")
    head, *rows = out.splitlines()
    assert (code, head.split()[:3]) == (0, ["job", "kind", "state"])
    assert rows[-1].split()[:3] == ["1", "index", "successful"]
    code, out, _ = bandsight("jobs", "1")
    assert "2 added, 0 already indexed, 1 failed, of 3" in out
    assert "broken.tif" in out.splitlines()[-1]
    _, out, _ = bandsight("jobs", "1", "--json")
    told = json.loads(out)
    assert (told["state"], told["failures"][0]["scene"]) == ("successful", "broken.tif")
    assert told["sources"] == [str(scenes)]
    code, _, err = bandsight("jobs", "99")
    assert (code, "job 99" in err) == (1, True)
    with Archive.open(archive) as opened, ArchiveWriter.create(tmp_path / "a", opened.model) as writer:
        writer.jobs.begin("index", ["/in"], Counts(scenes=9, tiles_per_s=4, remaining_s=300))
        _, out, _ = run(capsys, monkeypatch, "jobs", "--archive", str(tmp_path / "a"))
        assert [out.splitlines()[1].split()[at] for at in (2, -2, -1)] == ["running", "5", "min"]
    _, out, _ = run(capsys, monkeypatch, "jobs", "--archive", str(tmp_path / "a"))
    # Its process does not write to it any more.
    assert out.splitlines()[1].split()[2] == "failed"
    assert "its process died" in out


def test_reindex_with_the_archives_own_model_changes_nothing(bandsight):
    _, before, _ = bandsight("status", "--json")
    code, _, err = bandsight("reindex", "--model", "embedded", "--quiet")
    assert (code, "model embedded" in err) == (0, True)
    _, now, _ = bandsight("status", "--json")
    assert json.loads(before)["generation"] == json.loads(now)["generation"]


def test_indexing_again_does_not_load_the_model_if_nothing_is_new(tmp_path, run, capsys, monkeypatch):
    scene, archive = write(tmp_path / "a.tif", picture(3, 128, 128)), tmp_path / "archive"
    arguments = ["index", str(scene), "--archive", str(archive), "--quiet"]
    assert run(capsys, monkeypatch, *arguments)[0] == 0
    program = (
        "import sys\nfrom bandsight import cli\nsys.argv[0] = 'bandsight'\ncli.main()\n"
        "assert not {'torch', 'onnxruntime'} & set(sys.modules)"
    )
    again = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("nothing to do: 1 scene already in the archive, unchanged")
    (tmp_path / "b.tif").write_bytes(scene.read_bytes())
    arguments[1] = str(tmp_path)
    code, out, err = run(capsys, monkeypatch, *arguments)
    assert (code, "1 scene" in out, "model embedded" in err) == (0, True, True)


def test_a_model_that_cannot_be_loaded_leaves_no_archive(tmp_path, capsys, monkeypatch):
    scene, model = write(tmp_path / "a.tif", picture(3, 64, 64)), tmp_path / "model"
    model.mkdir()
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {"image_size": 32}}}
    (model / "open_clip_config.json").write_text(json.dumps(config))
    (model / "open_clip_model.safetensors").write_bytes(b"nothing")
    arguments = ["index", str(scene), "--archive", str(tmp_path / "archive"), "--model", f"local-dir:{model}"]
    assert run_command(capsys, monkeypatch, *arguments)[0] == 1
    assert not (tmp_path / "archive").exists()
    (model / "open_clip_config.json").write_text("{}")
    code, _, err = run_command(capsys, monkeypatch, *arguments)
    assert (code, "lacks embed_dim or image_size" in err) == (1, True)


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom bandsight.cli import app\n"
        "heavy = {'torch', 'open_clip', 'faiss', 'rasterio', 'numpy', 'sqlalchemy', 'fastapi'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_command_and_its_options_have_help():
    from typer.main import get_command

    for name, command in get_command(cli.app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", None) or parameter.name == "port", (
                name,
                parameter.name,
            )


def test_results_state_if_nothing_is_a_likely_match(bandsight, monkeypatch):
    from bandsight.model.scoring import Probabilities

    monkeypatch.setattr(Probabilities, "threshold", lambda *_: 1.0)
    _, out, _ = bandsight("search", "a steel works", "--top", "2")
    assert out.splitlines()[-1].startswith("No good matches")
    _, out, _ = bandsight("search", "a steel works", "--top", "2", "--json")
    found = json.loads(out)
    assert found["nothing_matches"] is True
    assert [f["properties"]["bandsight:match"] for f in found["features"]] == [False, False]
    monkeypatch.setattr(Probabilities, "threshold", lambda *_: 0.0)
    _, out, _ = bandsight("search", "a steel works", "--top", "2")
    assert "No good matches" not in out


def test_a_model_is_measured_on_a_folder_of_classes(run, capsys, monkeypatch, tmp_path):
    for cls, pixels in (("open water", _water()), ("dense green forest", _forest())):
        (tmp_path / "places" / cls).mkdir(parents=True)
        for number in range(6):
            cut = pixels[:, 9 * number :, 5 * number :]
            Image.fromarray(cut.transpose(1, 2, 0)).save(tmp_path / "places" / cls / f"{number}.png")
    out = tmp_path / "figures"
    code, text, _ = run(capsys, monkeypatch, "evaluate", str(tmp_path / "places"), "--out", str(out))
    assert code == 0
    assert "| places | 12 |" in text
    found = json.loads((out / "evaluation.json").read_text())
    shown = found["results"]["places"]["zero_shot"]
    assert shown["classes"] == 2
    assert shown["top1"] >= 50
    assert len(found["model_digest"]) == 64
    assert (out / "evaluation.md").read_text() == text.rstrip("\n") + "\n"
    code, _, err = run(capsys, monkeypatch, "evaluate", str(tmp_path / "nowhere"))
    assert code == 1
    assert "no such file or folder" in err


def test_an_image_with_other_bands_is_a_query_with_its_wavelengths(bandsight, tmp_path):
    path = tmp_path / "four.tif"
    write(path, picture(4, 64, 64, dtype="uint16"))
    code, _, err = bandsight("search", "--image", str(path))
    assert code == 1
    assert "4 bands without wavelengths" in err
    code, out, _ = bandsight("search", "--image", str(path), "--wavelengths", "0.49,0.56,0.665,0.842", "--top", "1")
    assert code == 0
    assert out.strip()
    for asked, said in ((("--image", str(path), "--wavelengths", "0.49,x"), "need numbers in µm"),
                        (("lake", "--wavelengths", "0.5"), "pass --image FILE with it")):  # fmt: skip
        code, _, err = bandsight("search", *asked)
        assert code == 1
        assert said in err


def test_data_sets_of_the_same_name_are_kept_apart_and_omissions_are_reported(run, capsys, monkeypatch, tmp_path):
    for side in ("north", "south"):
        for cls, pixels in (("1", _water()), ("2", _forest())):
            (tmp_path / side / "places" / cls).mkdir(parents=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / side / "places" / cls / "0.png")
        for number in range(7):
            (tmp_path / side / "places" / "1" / f"bad-{number}.png").write_bytes(b"no picture")
    sets = [str(tmp_path / side / "places") for side in ("north", "south")]
    out = tmp_path / "figures"
    code, _, err = run(capsys, monkeypatch, "evaluate", *sets, "--out", str(out))
    assert code == 0
    found = json.loads((out / "evaluation.json").read_text())["results"]
    assert list(found) == sets
    assert len(found[sets[0]]["left_out"]) == 7
    assert "left out 1/bad-0.png: unknown image format" in err
    assert "left out 7 in total" in err
    assert "its classes are numbers" in err
    code, _, err = run(capsys, monkeypatch, "evaluate", *sets, "--name", "ucm")
    assert code == 1
    assert "--name: 1 for 2 data sets" in err
    code, _, err = run(capsys, monkeypatch, "evaluate", sets[0], "--out", str(Path(sets[0]) / "1" / "0.png"))
    assert code == 1
    assert "cannot be written to (File exists); pass another folder" in err
    empty = tmp_path / "other"
    code, _, err = run(capsys, monkeypatch, "evaluate", str(tmp_path / "nowhere"), "--out", str(empty))
    assert code == 1
    assert not list(empty.iterdir())
    code, _, err = run(capsys, monkeypatch, "evaluate", sets[0], "--part", "train", "--name", "ucm")
    assert "as 'ucm'; the model has not seen this part only if" in err


def test_a_scene_is_removed_by_the_name_it_was_indexed_by(run, capsys, monkeypatch, scenes, tmp_path):
    monkeypatch.chdir(scenes)
    archive = ("--archive", str(tmp_path / "new"))
    assert run(capsys, monkeypatch, "index", "water.tif", *archive)[0] == 0
    code, out, _ = run(capsys, monkeypatch, "remove", "water.tif", *archive)
    assert (code, "1 scene removed" in out) == (0, True)
    code, _, err = run(capsys, monkeypatch, "remove", "water.tif", *archive)
    assert (code, "water.tif: this archive has no such scene" in err) == (1, True)
    code, _, err = run(capsys, monkeypatch, "remove", f"{'x' * 300}.tif", *archive)
    assert (code, "this archive has no such scene" in err) == (1, True)


def test_an_archive_is_named_by_folder_or_url(run, capsys, monkeypatch, archive):
    for where in (str(archive), f"file://{archive}", f"sqlite:///{archive}/catalog.sqlite"):
        code, out, _ = run(capsys, monkeypatch, "status", "--archive", where, "--json")
        assert code == 0
        assert json.loads(out)["model"] == "embedded"
    code, _, err = run(capsys, monkeypatch, "status", "--archive", "mongodb://host/archive")
    assert code == 1
    assert "unknown scheme mongodb; pass a folder" in err


def test_a_model_is_calibrated_and_the_calibration_is_used_when_it_is_opened(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BANDSIGHT_CALIBRATIONS", str(tmp_path / "own"))
    for cls, pixels in (("open water", _water()), ("dense green forest", _forest())):
        (tmp_path / "places" / cls).mkdir(parents=True)
        for number in range(30):
            cut = pixels[:, 2 * number :, 3 * number :]
            Image.fromarray(cut.transpose(1, 2, 0)).save(tmp_path / "places" / cls / f"{number}.png")
    data = str(tmp_path / "places")
    code, text, err = run(capsys, monkeypatch, "calibrate", data, "--name", "elevation")
    assert code == 0
    assert text.startswith("elevation: scale ")
    assert "calibration error" in text
    (file,) = (tmp_path / "own").glob("*.json")
    assert str(file) in err
    stored = json.loads(file.read_text())
    assert stored["model_digest"] == file.stem
    assert stored["families"]["elevation"]["held_out"]["images"] > 5
    code, _, _ = run(capsys, monkeypatch, "calibrate", data, "--name", "radar_x")
    assert code == 0
    assert set(json.loads(file.read_text())["families"]) == {"elevation", "radar_x"}

    from bandsight.model import load_model
    from bandsight.model.scoring import Imagery

    assert load_model(check=False).probabilities.reason(Imagery(family="radar_x")) is None
    code, _, err = run(capsys, monkeypatch, "calibrate", data, "--name", "sonar")
    assert (code, "need one of rgb, multispectral" in err) == (1, True)
    code, _, _ = run(capsys, monkeypatch, "calibrate", data, "--out", str(tmp_path / "calibration.json"))
    assert set(json.loads((tmp_path / "calibration.json").read_text())["families"]) == {"rgb"}


def test_serve_refuses_a_taken_port_before_it_loads_the_model(capsys, monkeypatch, tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        # There is no archive: without the port's check, it would be served, or missed.
        arguments = ("serve", "--archive", str(tmp_path / "none"), "--port", str(port))
        code, out, err = run_command(capsys, monkeypatch, *arguments)
    assert code == 1
    assert out == ""
    assert f"127.0.0.1:{port}: cannot listen there" in err
    assert "--port" in err
    check_port("127.0.0.1", port)


def test_a_contact_sheet_names_probability_and_date() -> None:
    likely = hit(probability=0.724, when=datetime(2020, 5, 1, tzinfo=UTC))
    assert captions(likely) == ("1.  72%", "2020-05-01", "made_up, tile 7")
    assert captions(hit(probability=None, when=None))[:2] == ("1.  score 0.250", "date unknown")
    assert captions(likely, ranked=False) == ("tile 7", "2020-05-01", "made_up")


def hit(*, probability: float | None, when: datetime | None) -> Hit:
    scene, tile = SimpleNamespace(datetime=when, sensor="made_up"), SimpleNamespace(id=7)
    return Hit(tile=tile, scene=scene, score=0.25, rank=1, probability=probability)  # type: ignore[arg-type]
