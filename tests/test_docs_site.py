"""The documentation as a site: it builds without a warning, the command line's page is current, the tutorial works."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from docs.cli_reference import PAGE, reference
from tests.browser import landscape

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
START_TIMEOUT_S = 120


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    for page in ("index", "tutorial/index", "cli/index", "decisions/0001-deleting-scenes-by-snapshot/index"):
        assert (tmp_path / "site" / f"{page}.html").is_file()
    # Nothing is loaded from other servers.
    start = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|<link[^>]*rel="stylesheet"[^>]*href)="(?:https?:)?//[^"]+"', start) == []


def test_the_page_of_the_command_line_equals_the_help_texts() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m docs.cli_reference"


def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    landscape.sentinel2(tmp_path / "scenes" / "s2", "20170617T102021", seed=4, season=0.0)
    landscape.photo(tmp_path / "scenes" / "photo_20200501.tif", seed=7, origin=(390_000.0, 5_810_000.0))
    commands = re.findall(r"^    (bandsight .+)$", TUTORIAL, re.MULTILINE)
    assert len(commands) > 12
    # One process: loading the model takes longer than what the commands do with it.
    script = tmp_path / "tutorial.py"
    script.write_text(RUNNER.format(commands=[one for one in commands if not one.startswith("bandsight serve")]))
    (python,) = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    with script.open("a") as out:
        out.write(python)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "indexed" in done.stdout
    assert (tmp_path / "lakes.png").stat().st_size > 1000
    assert '"FeatureCollection"' in (tmp_path / "lakes.geojson").read_text()
    assert (tmp_path / "my-copy" / "catalog.sqlite").is_file()
    assert "limit 5" in done.stdout
    (serve,) = [one for one in commands if one.startswith("bandsight serve")]
    check_that_it_serves(serve.split()[1:], tmp_path, environment)


@pytest.fixture(scope="module")
def three_dates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an archive of three dates of one place, and a further scene beside it."""
    folder = tmp_path_factory.mktemp("tutorials")
    for when, season in (("20170617T102021", 0.0), ("20180622T102021", 0.7), ("20180915T102021", 1.0)):
        landscape.sentinel2(folder / "scenes" / when[:8], when, seed=4, season=season)
    for east in range(3):
        landscape.photo(
            folder / "scenes" / f"photo_{east}.tif", seed=7 + east, origin=(390_000.0 + 2000 * east, 5.81e6)
        )
    landscape.sentinel2(folder / "new-scenes" / "s2", "20190617T102021", seed=9)
    run(["bandsight index scenes --archive my-archive"], folder)
    return folder


def run(commands: list[str], folder: Path, more: str = "", **settings: str) -> str:
    """Run commands, then Python, in one process: starting one takes longer than what the commands do."""
    script = folder / "commands.py"
    script.write_text(RUNNER.format(commands=commands) + more)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **settings}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(page: str) -> tuple[list[str], str]:
    """Return the commands of a page of docs/, and its Python."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    python = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return re.findall(r"^    (bandsight .+)$", text, re.MULTILINE), "".join(python)


def test_every_command_of_the_tutorial_on_ponds_works(three_dates: Path, tmp_path: Path) -> None:
    shutil.copytree(three_dates, tmp_path, dirs_exist_ok=True)
    commands, _ = told("tutorial-ponds.md")
    report = commands.index("bandsight area report sample.geojson")
    said = run(commands[:report], tmp_path, BANDSIGHT_ARCHIVE="my-archive")
    # The reader labels the tiles of the sample here.
    drawn = [str(one["id"]) for one in json.loads((tmp_path / "sample.geojson").read_text())["features"]]
    labels = [
        f"bandsight label add ponds --class {cls} {' '.join(drawn[at::2])}" for at, cls in enumerate(("pond", "none"))
    ]
    assert "km²" in run([*labels, *commands[report:]], tmp_path, BANDSIGHT_ARCHIVE="my-archive")
    assert len(commands) > 12
    assert "ponds version 2: 20 labels" in said
    assert {"polygons.geojson", "tiles.geojson", "layer.json"} <= {path.name for path in (tmp_path / "ponds").iterdir()}
    assert (tmp_path / "queue.png").is_file()


def test_every_command_of_the_tutorial_on_alerts_works(three_dates: Path, tmp_path: Path) -> None:
    shutil.copytree(three_dates, tmp_path, dirs_exist_ok=True)
    commands, receiver = told("tutorial-alert.md")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (tmp_path / "receiver.py").write_text(receiver.replace("8900", port))
    (tmp_path / "secret.txt").write_text("a secret of sixteen or more\n")
    commands = [one.replace("8900", port) for one in commands]
    settings = {"BANDSIGHT_ARCHIVE": "my-archive", "BANDSIGHT_WEBHOOK_ALLOW": "127.0.0.1"}
    with subprocess.Popen([sys.executable, "receiver.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            wait_for_port(int(port), server)
            said = run(commands, tmp_path, **settings)
        finally:
            server.terminate()
        assert server.stdout is not None
        printed = server.stdout.read()
    assert "s2/T33UUU_20190617T102021  pending" in said
    assert re.search(r"[1-9]\d* delivered, 0 to be retried", said)
    assert printed.startswith("a quarry s2/T33UUU_20190617T102021")


def test_every_command_of_the_tutorial_on_change_works(three_dates: Path, tmp_path: Path) -> None:
    shutil.copytree(three_dates, tmp_path, dirs_exist_ok=True)
    commands, python = told("tutorial-change.md")
    said = run(commands, tmp_path, python, BANDSIGHT_ARCHIVE="my-archive")
    assert '"FeatureCollection"' in (tmp_path / "changes.geojson").read_text()
    for date in ("2017-06-17", "2018-06-22", "2018-09-15"):
        assert said.count(date) >= 2


def wait_for_port(port: int, server: subprocess.Popen[str]) -> None:
    for _ in range(START_TIMEOUT_S * 20):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}")


RUNNER = """
import shlex, sys
from bandsight import cli
for line in {commands!r}:
    sys.argv = shlex.split(line)
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, line
"""


def check_that_it_serves(arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bandsight.cli", *arguments, "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(START_TIMEOUT_S * 10):
            try:
                with urlopen(f"http://127.0.0.1:{port}/docs", timeout=5) as answer:
                    assert b"Bandsight API" in answer.read()
                    return
            except (URLError, OSError):
                assert server.poll() is None
                time.sleep(0.1)
        raise AssertionError("the server does not answer")
    finally:
        server.terminate()
        server.wait(20)
