"""Indexes real scenes of several sensors, asks them by sentence and by picture, shows the hits, serves the page."""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity
from bandsight.cli.contact_sheet import contact_sheet
from bandsight.cli.formatting import table
from bandsight.errors import BandsightError
from bandsight.model import load_model
from bandsight.query_image import decode_query_image
from bandsight.search.answers import Answer, by_image, by_text, by_tile
from demo.scenes import fetch
from indexer.pipeline import index
from indexer.progress import console_progress
from indexer.tiling import Tiling

_CACHE, _ARCHIVE, _SHEET = Path(".cache/demo"), Path("demo-archive"), Path("demo-archive/sheet.png")
_TOP = 6
# A picture of 0.1 m, and by how much coarser it is cut: the model knows ground from 0.3 m up.
_FINE, _COARSER = "aerial_osbs", 3
_TEXTS = (
    ("a lake surrounded by fields", Filter()),
    ("farmland divided into fields", Filter()),
    ("bare mountains", Filter()),
    ("a village with houses", Filter(sensors=("sentinel2_l1c", "sentinel2_l2a"))),
    ("trees seen from above", Filter(sensors=("rgb",))),
    ("farmland", Filter(sensors=("aviris",))),
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
    folders = [path for name, path in scenes.items() if name not in {"query", _FINE}]
    failed = False
    coarser = Tiling(tile_px=encoder.image_size, scales=(_COARSER,))
    with Archive.open_or_create(_ARCHIVE, identity) as archive, console_progress() as progress:
        for paths, option, tiling in ((folders, "", None), ([scenes[_FINE]], f" --scales {_COARSER}", coarser)):
            print(f"$ bandsight index {' '.join(str(path) for path in paths)}{option} --archive {_ARCHIVE}")
            summary = index(paths, archive=archive, model=encoder, tiling=tiling, progress=progress)
            failed |= bool(summary.failed)
            print(summary.text())
    rows: list[tuple[str, Answer]] = []
    with Archive.open(_ARCHIVE) as archive:
        for text, wanted in _TEXTS:
            sensors = "".join(f" --sensor {name}" for name in wanted.sensors)
            print(f'\n$ bandsight search "{text}"{sensors} --archive {_ARCHIVE} --top {_TOP}')
            rows.append((f'"{text}"{sensors}', by_text(archive, encoder, text, _TOP, wanted)))
            print(table(rows[-1][1]))
        picture = scenes["query"] / "forest_from_the_air.png"
        print(f"\n$ bandsight search --image {picture} --archive {_ARCHIVE} --top {_TOP}")
        pixels, waves = decode_query_image(picture.read_bytes())
        rows.append((f"the picture {picture.name}", by_image(archive, encoder, pixels, waves, _TOP, Filter())))
        print(table(rows[-1][1]))
        radar = by_text(archive, encoder, "water", 1, Filter(sensors=("sentinel1",))).hits[0].tile.id
        print(f"\n$ bandsight similar {radar} --sensor sentinel1 --archive {_ARCHIVE} --top {_TOP}")
        like = by_tile(archive, radar, _TOP, replace(Filter(), sensors=("sentinel1",)))
        rows.append((f"like radar tile {radar} --sensor sentinel1", like))
        print(table(like))
        contact_sheet([(title, answer.hits) for title, answer in rows], _SHEET)
    print(f"\nindexed and searched in {time.monotonic() - began:.0f} s; the hits as pictures: {_SHEET}")
    if os.environ.get("CI") == "true" or not sys.stdin.isatty():
        return 1 if failed else 0
    return subprocess.call([sys.executable, "-m", "bandsight.cli", "serve", "--archive", str(_ARCHIVE)])  # noqa: S603


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BandsightError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
