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
_HEAD = """# Server settings

Set these as environment variables. `bandsight serve` checks all of them before it loads the model, and lists
those that are invalid. Lists are JSON: `'["https://browser.example"]'`. `python -m docs.settings_reference` writes
this page, and a test compares it.
"""
_OTHERS = """## Other environment variables

Commands and the server read these too. Some command options have a variable as well, which `--help` shows.

| variable | default | meaning |
|---|---|---|
| `BANDSIGHT_PROFILES` |  | Folder with your own [sensor profiles](sensors.md#a-new-profile). |
| `BANDSIGHT_CALIBRATIONS` | `~/.local/share/bandsight/calibrations` | \
Folder of [calibrations](model.md#calibrate-a-model). |
| `BANDSIGHT_LOCK_WAIT_S` | `0` | How long a command waits for another writer of the archive, s. |
| `BANDSIGHT_ANNOTATOR` | `anonymous` | Name stored with [labels](labels.md#labels). |
| `BANDSIGHT_WEBHOOK_ALLOW` |  | \
Hosts, addresses and networks that [webhooks](alerts.md#webhooks) may reach in addition to public ones. |
| `BANDSIGHT_SMTP_URL`, `BANDSIGHT_MAIL_FROM`, `BANDSIGHT_MAIL_ALLOW` |  | \
Server, sender and recipients of [e-mail alerts](alerts.md#when-and-how-alerts-are-sent). |
| `BANDSIGHT_SAS_TOKEN_URL`, `BANDSIGHT_SAS_HOST` |  | Token endpoint and host of [signed URLs](indexing.md#sources). |

Object stores use [GDAL's variables](https://gdal.org/en/stable/user/virtual_file_systems.html), \
such as `AWS_ACCESS_KEY_ID`.
"""


def reference() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *map(_section, settings.CONCERNS), _OTHERS])


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
    if value is None or value in ("", (), {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
