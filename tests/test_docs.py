"""The Markdown pages: their links lead to files, and decision records are numbered without gaps."""

import ast
import re
import shlex
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bandsight" / "model" / "embedded" / "MODEL_CARD.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_decision_records_are_numbered_without_gaps() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for number, record in enumerate(records, 1):
        assert record.read_text(encoding="utf-8").startswith(f"# {number}. "), record.name


def test_the_architecture_page_names_files_that_exist_and_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:bandsight|indexer|search_api|tests)/[\w./]+)`", text))
    assert len(files) > 20
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    packages = {path.parent.name for path in (ROOT / "bandsight").glob("*/__init__.py")}
    assert [name for name in sorted(packages) if f"bandsight.{name}" not in text] == []


TUTORIALS = (
    *("labels.md", "alerts.md", "change.md", "atlas.md", "sources.md", "choosing-a-model.md"),
    *("upgrading.md", "operations.md", "faq.md", "indexing.md"),
)


def _commands(page: str) -> list[str]:
    """Return the commands of a page's indented blocks, without what stands behind two spaces."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = re.findall(r"^    (bandsight .+)$", text, re.MULTILINE)
    return [re.split(r"\s{2,}", line)[0] for line in lines]


@pytest.mark.parametrize("command", [one for page in TUTORIALS for one in _commands(page)])
def test_commands_of_tutorials_are_valid(command: str) -> None:
    from typer.main import get_command

    from bandsight import cli

    group = get_command(cli.app)
    words = shlex.split(command)[1:]
    while hasattr(group, "commands"):
        assert words[0] in group.commands, command
        group = group.commands[words.pop(0)]
    # Parses options and arguments without running anything.
    options = {option for param in group.params for option in param.opts}
    archive = ["--archive", "a"] if "--archive" in options else []
    group.make_context("bandsight", [*words, *archive])


def _messages() -> list[str]:
    """Return the messages in tables of the page for operators; `…` stands for what varies."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| message \| what to do \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert len(tables) == 2
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


@lru_cache
def _texts_of_the_code() -> str:
    """Return all texts in the code, each on a line; what is filled in is a `…`."""
    found = []
    for package in ("bandsight", "indexer", "search_api"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


@pytest.mark.parametrize("message", _messages())
def test_a_message_for_operators_is_one_of_the_code(message: str) -> None:
    for part in re.split(r"\s*…\s*|\((?=[A-Z])[^)]*\)|/(?=:)", message):
        # A message may be put together from up to three texts.
        rest, pieces = part.strip(" :"), 0
        while rest:
            length = next((n for n in range(len(rest), 2, -1) if rest[:n] in _texts_of_the_code()), 0)
            assert length, f"{rest!r} of {message!r}"
            assert pieces < 3, message
            rest, pieces = rest[length:].strip(), pieces + 1
