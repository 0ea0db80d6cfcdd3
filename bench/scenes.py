"""Prints a table of scenes for docs/scenes.md: sensor, bands, wavelengths, footprint."""

import argparse
from pathlib import Path

from indexer.description import scenes_table


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="Files or folders of scenes.")
    parser.add_argument(
        "--sensor",
        action="append",
        default=[],
        metavar="PART=NAME",
        help="Sensor profile for scenes with PART in their path.",
    )
    args = parser.parse_args()
    print(scenes_table(args.paths, dict(pair.split("=", 1) for pair in args.sensor)), end="")


if __name__ == "__main__":
    main()
