"""Serves an archive of made-up scenes, and lets stac-api-validator judge it: `make validate`.

It looks for JSON schemas of STAC on the web; what it says of those is counted apart. The rest asks only the server.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from bandsight.archive import ArchiveWriter
from tests.archive.makers import MODEL, Entry, entry
from tests.search_api.stac.conftest import app_of, served

# Not `sort`: the validator sends `"collections": "red"` there, a text where the standard has a list, which is a 400.
CLASSES = ("core", "collections", "features", "item-search", "filter", "item-search#fields", "features#fields")
# Where the validator looks for JSON schemas; without a network that part of it is not checked.
SCHEMAS = "schemas.stacspec.org"
# Made-up scenes lie all over the Earth.
WORLD = '{"type": "Polygon", "coordinates": [[[-120, -60], [120, -60], [120, 60], [-120, 60], [-120, -60]]]}'


def dated(number: int) -> Entry:
    """Return a scene with its tiles; the validator takes it that every time is known."""
    scene, tiles, vectors = entry(number, 8)
    return replace(scene, datetime=scene.datetime or datetime(2020, 3, 1, tzinfo=UTC)), tiles, vectors


def main() -> int:
    """Run the validator; return 1 where it finds anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validator", type=Path, required=True, help="stac-api-validator, of a venv of its own")
    parser.add_argument("--only", choices=CLASSES, action="append", help="these classes of conformance, not all")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, ArchiveWriter.create(Path(folder) / "archive", MODEL) as archive:
        archive.add([dated(n) for n in range(12)])
        with served(app_of(archive)) as url:
            made = httpx2.post(f"{url}searches", json={"q": "a lake", "hits": 40}).json()
            # The archive's own root, and that of a registered search: both are STAC APIs.
            for root in (url, f"{url}searches/{made['id']}/"):
                wrong += calibrated(given.validator, root, given.only or CLASSES)
    return min(wrong, 1)


def calibrated(validator: Path, root: str, classes: Sequence[str]) -> int:
    """Print what the validator says of an API; return how much of it is wrong."""
    command = [str(validator), "--root-url", root, "--collection", "red", "--geometry", WORLD]
    command += ["--fields-nested-property", "properties.platform"]
    command += [part for name in classes for part in ("--conformance", name)]
    said = subprocess.run(command, check=False, capture_output=True, text=True)
    warnings, errors = found(said.stdout, "Warnings:"), found(said.stdout, "Errors:")
    unchecked = [line for line in errors if SCHEMAS in line]
    wrong = [line for line in errors if SCHEMAS not in line]
    if "Validating" not in said.stdout + said.stderr or "Traceback" in said.stdout + said.stderr:
        wrong.append((said.stdout + said.stderr)[-2000:])
    print(
        f"{root}: {len(wrong)} errors, {len(warnings)} warnings, {len(unchecked)} not checked: no schemas ({SCHEMAS})"
    )
    for line in (*wrong, *warnings):
        print("  ", line[:300])
    return len(wrong)


def found(text: str, heading: str) -> list[str]:
    """Return the lines beneath a heading of the validator's."""
    part = text.partition(f"{heading}\n")[2]
    lines = part.splitlines()
    ends = next((at for at, line in enumerate(lines) if not line.startswith("- ")), len(lines))
    return lines[:ends]


if __name__ == "__main__":
    sys.exit(main())
