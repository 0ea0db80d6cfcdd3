"""Compares compose files with the Compose Specification, as a Rust implementation of it reads them.

    .venv-deploy/bin/python tests/cluster/compose_report.py FILE...

It runs in an environment of its own, and prints for each file what is wrong with it, as JSON.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose

_VARIABLE = re.compile(r"\$\{\w+(?::(?:-([^}]*)|\?[^}]*))?\}")


def filled(value: Any) -> Any:
    """Return a value whose variables have their defaults, or a path where they have none."""
    if isinstance(value, dict):
        return {key: filled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one) for one in value]
    return _VARIABLE.sub(lambda found: found[1] or "/text", value) if isinstance(value, str) else value


def problems(text: str) -> list[str]:
    """Return what is wrong with a file."""
    try:
        PyCompose.from_json(json.dumps(filled(yaml.safe_load(text))))
    except ValueError as error:
        return [str(error)[:500]]
    return []


if __name__ == "__main__":
    print(json.dumps([problems(Path(name).read_text()) for name in sys.argv[1:]]))  # noqa: T201
