"""Lists how each raster of public test corpora is recognised, and compares this with the table of an earlier run.

Each folder in DIR is a corpus: a clone of GDAL's autotest, rasterio, rio-tiler, torchgeo, stactools, pystac, … Rasters
are opened in reader processes, as by `bandsight index`, because some files crash decoders. Differences from the table
are printed, and the exit code is 1 if there are any; corpora that are not in DIR are not compared. --write replaces the
table.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from bandsight.errors import BandsightError
from bandsight.raster.drivers import local_file, raster_path
from indexer.folders import roots_of
from indexer.reader_pool import ProcessReader
from indexer.scene import RasterScene, open_scene
from indexer.source import Source
from indexer.sources import find_scenes

FIELDS = ("corpus", "file", "taken for", "bands", "time", "no data", "pixels", "footprint")
_TIME_LIMIT_S = 60.0
_NUMBER, _QUOTED = re.compile(r"\d+(?:[.,]\d+)*"), re.compile(r"/[^\s:]+|'[^']*'")

Row = dict[str, str]


def rows_of(corpus: Path) -> Iterable[Row]:
    """Yield a row for each scene and each refused file of a corpus, in the order of their paths."""
    sources = find_scenes([corpus])
    reader = ProcessReader(roots_of(sources), time_limit_s=_TIME_LIMIT_S)
    try:
        for source in sources:
            own = {"corpus": corpus.name, "file": _place(source, corpus)}
            try:
                scene = reader.call(open_scene, source, "", tiling={})
            except BandsightError as error:
                yield {**dict.fromkeys(FIELDS, ""), **own, "taken for": f"refused: {_reason(source, error)}"}
            else:
                yield {**own, **_found(scene)}
    finally:
        reader.close()


def _found(scene: RasterScene) -> Row:
    record, raster = scene.record, scene.raster
    when = record.datetime or record.start_datetime
    masks: set[str] = {str(one.mask.kind) for one in raster.files.values()} - {"none"}
    masks |= {"collar"} if raster.collar else set()
    masks |= {raster.quality.quality.name} if raster.quality else set()
    values = dict.fromkeys([*([] if raster.nodata is None else [raster.nodata]), *raster.fill_values])
    masks_text = " ".join(sorted(masks - ({"nodata"} if values else set())))
    return {
        "taken for": record.sensor,
        "bands": " ".join(f"{band.wavelength_um:g}" for band in record.bands),
        "time": when.isoformat() if when else "",
        "no data": f"{' '.join(f'{value:g}' for value in values)} {masks_text}".strip(),
        "pixels": f"{record.width}x{record.height}",
        "footprint": "; ".join(f"{b.west:.4f} {b.south:.4f} {b.east:.4f} {b.north:.4f}" for b in record.boxes),
    }


def _place(source: Source, corpus: Path) -> str:
    file = local_file(source.hrefs[0])
    for root in (corpus.absolute(), corpus.resolve()):
        if file is not None and file.is_relative_to(root):
            inner = raster_path(source.hrefs[0])
            return str(inner.relative_to(root) if inner.is_relative_to(root) else file.relative_to(root))
    return raster_path(source.hrefs[0]).name


def _reason(source: Source, error: BandsightError) -> str:
    """Return a refusal without local paths."""
    text = str(error)
    for href in source.hrefs:
        text = text.replace(href, raster_path(href).name)
    return re.sub(r"/\S*/", "", text)


def counts(rows: Iterable[Row]) -> str:
    """Return a table (Markdown) of counts: accepted and refused files of each corpus, and the reasons of refusals."""
    taken: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = {}
    for row in rows:
        own = refused.setdefault(row["corpus"], Counter())
        if row["taken for"].startswith("refused"):
            own[_kind(row["taken for"])] += 1
        else:
            taken[row["corpus"]] += 1
    lines = ["| corpus | taken | refused | most frequent reasons |", "|---|---|---|---|"]
    for corpus, reasons in refused.items():
        most = "; ".join(f"{text} ({count})" for text, count in reasons.most_common(3))
        lines.append(f"| {corpus} | {taken[corpus]} | {reasons.total()} | {most} |")
    return "\n".join(lines)


def _kind(refusal: str) -> str:
    text = refusal.removeprefix("refused: ").partition(": ")[2] or refusal
    return _NUMBER.sub("n", _QUOTED.sub("…", text.partition(";")[0]))[:60]


def differences(known: Mapping[tuple[str, str], Row], found: Iterable[Row]) -> list[str]:
    """Return the differences from a table, one line per file."""
    lines, seen, corpora = [], set(), set()
    for row in found:
        key = row["corpus"], row["file"]
        seen.add(key)
        corpora.add(row["corpus"])
        before = known.get(key)
        if before is None:
            lines.append(f"new: {' / '.join(key)}: {row['taken for']}")
        elif before != row:
            changed = [f"{name} {before[name]!r} → {row[name]!r}" for name in FIELDS if before[name] != row[name]]
            lines.append(f"changed: {' / '.join(key)}: {', '.join(changed)}")
    lines += [f"gone: {' / '.join(key)}" for key in known if key[0] in corpora and key not in seen]
    return lines


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="Folder with one folder for each corpus.")
    parser.add_argument("--table", type=Path, default=Path("docs/corpora.csv"), help="Table to compare with.")
    parser.add_argument("--write", action="store_true", help="Write the table instead.")
    args = parser.parse_args()
    found = [row for corpus in sorted(args.folder.iterdir()) if corpus.is_dir() for row in rows_of(corpus)]
    print(counts(found))
    if args.write:
        with args.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
        return
    known: dict[tuple[str, str], Row] = {}
    if args.table.is_file():
        with args.table.open(encoding="utf-8", newline="") as file:
            known = {(row["corpus"], row["file"]): row for row in csv.DictReader(file)}
    lines = differences(known, found)
    print("\n".join(lines))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
