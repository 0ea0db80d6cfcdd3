"""Writes docs/settings.md from the settings of the server.

python -m docs.settings_reference
"""

import ast
import inspect
import json
from pathlib import Path
from typing import Any

from search_api import settings

PAGE = Path(__file__).parent / "settings.md"
_HEAD = """# Settings of the server

Set them as environment variables. `bandsight serve` checks all of them together before it loads the model, and names
each that cannot be used. Lists are JSON: `'["https://browser.example"]'`. `python -m docs.settings_reference` writes
this page; a test compares it.

`BANDSIGHT_PROFILES` names a folder of your own [sensor profiles](sensors.md).
"""


def reference() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *map(_section, settings.CONCERNS)])


def _section(concern: type) -> str:
    title = (concern.__doc__ or "").strip().rstrip(".")
    rows = [
        f"| `BANDSIGHT_{name.upper()}` | {_default(concern, name)} | {text} |" for name, text in _texts(concern).items()
    ]
    return "\n".join([f"## {title}\n", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _texts(concern: type) -> dict[str, str]:
    """Return the docstring of each field."""
    (found,) = ast.parse(inspect.getsource(concern)).body
    assert isinstance(found, ast.ClassDef)
    texts = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            texts[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split()).replace("|", "\\|")
    return texts


def _default(concern: Any, name: str) -> str:
    value = concern.model_fields[name].default
    if value is None or value in ("", ()):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
