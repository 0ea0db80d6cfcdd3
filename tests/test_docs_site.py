"""The documentation as a site: it builds without a warning, the command line's page is current, the tutorial works."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

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


def test_the_page_of_the_command_line_is_what_help_says() -> None:
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
