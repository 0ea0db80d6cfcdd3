"""Serves an archive of synthetic scenes and runs stac-api-validator on it: `make validate`.

The validator downloads JSON schemas. Errors about these are counted separately; all other checks need only the server.
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

# Not `sort`: for it the validator sends `"collections": "red"`, text instead of a list, to which a 400 is correct.
CLASSES = ("core", "collections", "features", "item-search", "filter", "item-search#fields", "features#fields")
# Host of the JSON schemas. Without a network, the validator cannot check them.
SCHEMAS = "schemas.stacspec.org"
# The synthetic scenes are spread over the Earth.
WORLD = '{"type": "Polygon", "coordinates": [[[-120, -60], [120, -60], [120, 60], [-120, 60], [-120, -60]]]}'


def dated(number: int) -> Entry:
    """Return a scene with its tiles. The validator assumes that every scene has a datetime."""
    scene, tiles, vectors = entry(number, 8)
    return replace(scene, datetime=scene.datetime or datetime(2020, 3, 1, tzinfo=UTC)), tiles, vectors


def main() -> int:
    """Run the validator; return 1 if it finds errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--validator", type=Path, required=True, help="stac-api-validator, from its own virtual environment"
    )
    parser.add_argument("--only", choices=CLASSES, action="append", help="only these conformance classes")
    args = parser.parse_args()
    errors = 0
    with tempfile.TemporaryDirectory() as folder, ArchiveWriter.create(Path(folder) / "archive", MODEL) as archive:
        archive.add([dated(n) for n in range(12)])
        with served(app_of(archive)) as url:
            search = httpx2.post(f"{url}searches", json={"q": "a lake", "hits": 40}).json()
            # The roots of the archive and of a saved search are both STAC APIs.
            for root in (url, f"{url}searches/{search['id']}/"):
                errors += validate(args.validator, root, args.only or CLASSES)
    return min(errors, 1)


def validate(validator: Path, root: str, classes: Sequence[str]) -> int:
    """Run the validator on an API and print its findings; return the number of errors."""
    command = [str(validator), "--root-url", root, "--collection", "red", "--geometry", WORLD]
    command += ["--fields-nested-property", "properties.platform"]
    command += [part for name in classes for part in ("--conformance", name)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    warnings, found = section(result.stdout, "Warnings:"), section(result.stdout, "Errors:")
    unchecked = [line for line in found if SCHEMAS in line]
    errors = [line for line in found if SCHEMAS not in line]
    if "Validating" not in result.stdout + result.stderr or "Traceback" in result.stdout + result.stderr:
        errors.append((result.stdout + result.stderr)[-2000:])
    print(f"{root}: {len(errors)} errors, {len(warnings)} warnings, {len(unchecked)} not checked without {SCHEMAS}")
    for line in (*errors, *warnings):
        print("  ", line[:300])
    return len(errors)


def section(text: str, heading: str) -> list[str]:
    """Return the list items below a heading in the output of the validator."""
    part = text.partition(f"{heading}\n")[2]
    lines = part.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("- ")), len(lines))
    return lines[:end]


if __name__ == "__main__":
    sys.exit(main())
