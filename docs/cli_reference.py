"""Writes docs/cli.md from `--help` of every command.

python -m docs.cli_reference
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bandsight.cli.base import app

PAGE = Path(__file__).parent / "cli.md"
_COLUMNS = 100
_HEAD = """# Command line

What `--help` says of every command. `python -m docs.cli_reference` writes this page; a test compares it.
"""


def reference() -> str:
    """Return the page."""
    parts = [_HEAD]
    for name, text in _helps(typer.main.get_command(app), "bandsight", None):
        level = "##" if name.count(" ") < 2 else "###"  # noqa: PLR2004
        parts.append(f"{level} {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the help of a command and of those below it."""
    context = command.context_class(command, info_name=name.rsplit(" ", 1)[-1], parent=parent, terminal_width=_COLUMNS)
    yield name, command.get_help(context)
    if hasattr(command, "list_commands"):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _helps(found, f"{name} {child}", context)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
