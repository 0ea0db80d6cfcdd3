"""The wheel by itself: built, installed into a new environment, and used from another folder than the checkout."""

import email
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import bandsight
from tests.rasters import picture, write

ROOT = Path(__file__).parents[1]
# Where the wheel installs the folders of the repository.
PACKAGES = {name: name for name in ("bandsight", "indexer", "search_api")} | {"migrations": "bandsight/migrations"}
pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> str:
    # Nothing of the checkout may leak in through the environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BANDSIGHT"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools leaves folders of its own where it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in PACKAGES:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", out, source, folder=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel; its dependencies are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    # Of a folder that a .pth file names, Python reads no further .pth files: the editable install stays unknown.
    where = run(folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
    Path(where.strip(), "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def test_every_file_of_the_packages_is_in_the_wheel_under_three_names(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        f"{target}/{file.relative_to(ROOT / folder)}"
        for folder, target in PACKAGES.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }
    assert found == expected
    assert {name.split("/")[0] for name in found} == {"bandsight", "indexer", "search_api"}
    assert {name for name in found if name.endswith("py.typed")} >= {
        *("bandsight/py.typed", "indexer/py.typed", "search_api/py.typed")
    }
    assert {
        *("bandsight/model/embedded/open_clip_model.safetensors", "bandsight/model/embedded/text/vocab.txt"),
        *("bandsight/sensors/profiles/sentinel2_l2a.toml", "bandsight/migrations/env.py"),
        "search_api/static/index.html",
    } <= found


def test_the_metadata_has_the_version_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Version"] == bandsight.__version__
    assert set(metadata.get_all("Provides-Extra") or ()) == {
        "all",
        "atlas",
        "cluster",
        "geopandas",
        "geoparquet",
        "hdf4",
        "stac",
        "tracing",
        "training",
    }
    assert metadata["License-Expression"] == "Apache-2.0"


def test_only_the_wheel_can_be_imported(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, json;"
        "print(json.dumps({n: getattr(u.find_spec(n), 'origin', None) for n in"
        " ('bandsight', 'bandsight.migrations', 'indexer', 'search_api', 'migrations', 'tests', 'training')}))"
    )
    found = json.loads(run(environment / "bin/python", "-c", code, folder=tmp_path))
    nowhere = {name for name, origin in found.items() if origin is None}
    assert nowhere == {"migrations", "tests", "training"}
    assert all(Path(origin).is_relative_to(environment) for origin in found.values() if origin)


def test_the_command_indexes_and_searches_from_another_folder(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin/bandsight"
    assert run(command, "--version", folder=tmp_path).strip() == bandsight.__version__
    write(tmp_path / "scene.tif", picture(3, 256, 256))
    run(command, "index", "scene.tif", "--archive", "a", folder=tmp_path)
    found = json.loads(run(command, "search", "a lake", "--archive", "a", "--top", "3", "--json", folder=tmp_path))
    assert len({feature["id"] for feature in found["features"]}) == 3
    assert all(-1 <= feature["properties"]["bandsight:score"] <= 1 for feature in found["features"])
