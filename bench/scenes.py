"""Prints a table of the scenes in folders, as docs/scenes.md has it: sensor, bands, wavelengths, footprint."""

import argparse
from pathlib import Path

from indexer.description import scenes_table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="Folders or files of scenes.")
    parser.add_argument(
        "--sensor", action="append", default=[], metavar="PART=NAME", help="Profile of scenes with PART in their path."
    )
    given = parser.parse_args()
    print(scenes_table(given.paths, dict(pair.split("=", 1) for pair in given.sensor)), end="")


if __name__ == "__main__":
    main()
