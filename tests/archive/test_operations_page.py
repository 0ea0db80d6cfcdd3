"""The commands of docs/operations.md, run on an archive: back up, restore, upgrade, go back, repair."""

import re
import shlex
import shutil
from functools import partial
from pathlib import Path

import pytest

from bandsight.archive import Archive
from bandsight.archive.admin import verify
from tests.archive.makers import filled
from tests.commands import run_command
from tests.crash.operations import downgrade

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def commands(title: str) -> list[list[str]]:
    """Return the commands of a section's blocks, without what stands behind two spaces."""
    section = re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]
    lines = re.findall(r"^ {4,}((?:bandsight|mv) .+)$|^((?:bandsight|mv) .+)$", section, re.MULTILINE)
    assert lines, title
    return [shlex.split(re.split(r"\s{2,}", first or second)[0]) for first, second in lines]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs commands in a folder that has `my-archive`."""
    filled(tmp_path / "my-archive", 4).close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BANDSIGHT_ARCHIVE", "my-archive")
    call = partial(run_command, capsys, monkeypatch)

    def run(words: list[str]) -> str:
        if words[0] == "mv":
            shutil.move(*words[1:])
            return ""
        code, out, err = call(*words[1:])
        assert code == 0, (words, err)
        return out

    return run


def check(path: str, scenes: int = 4) -> None:
    with Archive.open(path) as archive:
        assert verify(archive, full=True) == []
        assert len(archive.scenes()) == scenes


def test_backing_up_and_restoring(run):
    backup, verified = commands("Back up")
    made = run(backup).partition(":")[0]
    shutil.copytree(made, "my-copy")
    assert "no problems found" in run(verified)
    fresh, replaced, moved, again = commands("Restore")
    run(fresh)
    check("restored-archive")
    run(["bandsight", "remove", "/scenes/1.tif"])
    run(replaced)
    check("my-archive")
    Path("my-archive/catalog.sqlite").write_bytes(b"garbage")
    for words in (moved, again):
        run(words)
    check("my-archive")


def test_upgrading_and_downgrading(run):
    backup, *_ = commands("Back up")
    old = run(backup).partition(":")[0]
    downgrade(Path("my-archive"))
    for words in commands("Upgrade"):
        run(words)
    check("my-archive")
    moved, restored, index = commands("Go back")
    assert index[:2] == ["bandsight", "index"]
    run(moved)
    run([old if word.startswith("my-backups/") else word for word in restored])
    check("my-archive")


def test_repairing_and_housekeeping(run):
    file = next(Path("my-archive/index").glob("*.bsc"))
    file.write_bytes(b"garbage")
    for title in ("When verify complains", "Housekeeping"):
        for words in commands(title):
            run(words)
    check("my-archive")
