"""Indexes real scenes of several sensors, searches them by sentence and image, shows the hits, and serves the page."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.cli.contact_sheet import contact_sheet
from bandsight.cli.formatting import hits_of, table
from bandsight.errors import BandsightError
from bandsight.model import load_model
from bandsight.search.items import ResultPage
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from demo.scenes import fetch
from indexer.console import console_progress
from indexer.pipeline import index

_CACHE, _ARCHIVE, _SHEET = Path(".cache/demo"), Path("demo-archive"), Path("demo-archive/sheet.png")
_TOP = 6
# An image of 0.1 m, and the factor by which it is downsampled, because the model was trained on 0.3 m and more.
_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a lake surrounded by fields", ()),
    ("farmland divided into fields", ()),
    ("bare mountains", ()),
    ("a village with houses", ("sentinel2_l1c", "sentinel2_l2a")),
    ("trees seen from above", ("rgb",)),
    ("farmland", ("aviris",)),
)


def main() -> int:
    """Run the demo; return the exit status."""
    argparse.ArgumentParser(prog="python -m demo", description=__doc__).parse_args()
    began = time.monotonic()
    scenes = fetch(_CACHE)
    print(f"scenes ready after {time.monotonic() - began:.0f} s: {', '.join(sorted(set(scenes) - {'query'}))}\n")
    began = time.monotonic()
    encoder = load_model("embedded")
    print(f"model {encoder.name} on {encoder.device}; its weights are licensed {encoder.license}")
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    folders = [path for name, path in scenes.items() if name != "query"]
    with ArchiveWriter.open_or_create(_ARCHIVE, identity) as writer, console_progress() as progress:
        print(f"$ bandsight index {' '.join(str(path) for path in folders)} --archive {_ARCHIVE}")
        summary = index(folders, archive=writer, model=encoder, progress=progress)
        print(summary.text())
    rows: list[tuple[str, ResultPage]] = []
    with Archive.open(_ARCHIVE) as archive:
        searcher = Searcher(archive, encoder)

        def show(command: str, title: str, example: dict[str, Any], sensors: Sequence[str] = ()) -> None:
            options = "".join(f" --sensor {name}" for name in sensors)
            print(f"\n$ bandsight {command}{options} --archive {_ARCHIVE} --top {_TOP}")
            rows.append((f"{title}{options}", _found(searcher, example, _TOP, sensors)))
            print(table(rows[-1][1]))

        for text, sensors in _TEXTS:
            show(f'search "{text}"', f'"{text}"', {"text": text}, sensors)
        picture = scenes["query"] / "forest_from_the_air.png"
        show(f"search --image {picture}", f"the picture {picture.name}", {"image": {"data": picture.read_bytes()}})
        radar = hits_of(_found(searcher, {"text": "water"}, 1, ("sentinel1",)))[0].tile.id
        show(f"similar {radar}", f"like radar tile {radar}", {"id": radar}, ("sentinel1",))
        contact_sheet([(title, hits_of(page)) for title, page in rows], _SHEET)
    print(f"\nindexed and searched in {time.monotonic() - began:.0f} s; the hits as pictures: {_SHEET}")
    if os.environ.get("CI") == "true" or not sys.stdin.isatty():
        return 1 if summary.failed else 0
    return subprocess.call([sys.executable, "-m", "bandsight.cli", "serve", "--archive", str(_ARCHIVE)])  # noqa: S603


def _found(searcher: Searcher, example: dict[str, Any], top: int, sensors: Sequence[str]) -> ResultPage:
    filters = {"sensors": list(sensors)} if sensors else {}
    return search(searcher, request_of({"semantic": {"positive": [example]}, "limit": top, **filters}))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BandsightError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
