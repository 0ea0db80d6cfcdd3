"""`make check` notices when the lock files are out of step with pyproject.toml."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the check reads, to be changed."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check(folder: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "requirements/check.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_the_lock_is_up_to_date(project: Path) -> None:
    assert check(project) == (0, "")


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "message"),
    [
        ("pyproject.toml", r'"affine>=3"', '"affine>=99"', r"affine>=99: \S+ is locked for linux with Python 3.11"),
        ("pyproject.toml", r'"affine>=3"', '"affine>=3", "a-new-one"', "a-new-one: no version is locked"),
        ("pyproject.toml", r'"affine>=3",', "", "affine is locked as a requirement of this project"),
        ("pyproject.toml", r'"pytest>=9"', '"pytest>=99"', r"pytest>=99: \S+ is locked"),
        ("pyproject.toml", r'"rustac>=0.9"', '"rustac>=99"', r"rustac>=99: \S+ is locked"),
        ("requirements/runtime.txt", r"\naffine==\S+ ", "\naffine==3.0.0 ", "affine==3.0.0 is in runtime.txt, and not"),
        (
            "requirements/development.txt",
            r"(\naffine==\S+) \\(\n    --hash\S+( \\)?)+",
            r"\1",
            "affine has no hashes",
        ),
    ],
)
def test_outdated_entries_are_named(project: Path, file: str, pattern: str, replacement: str, message: str) -> None:
    text = (project / file).read_text()
    changed = re.sub(pattern, replacement, text)
    assert changed != text
    (project / file).write_text(changed)
    code, error = check(project)
    assert code == 1
    assert re.search(message, error), error
    assert error.rstrip().endswith("run make lock")
