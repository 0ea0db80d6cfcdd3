"""Options shared by several commands."""

from pathlib import Path
from typing import Annotated

import typer

ProfilesOption = Annotated[
    Path | None,
    typer.Option("--profiles", help="Folder with your own sensor profiles (TOML).", envvar="BANDSIGHT_PROFILES"),
]
ArchiveOption = Annotated[
    str,
    typer.Option("--archive", "-a", help="Archive: a folder or a URL.", envvar="BANDSIGHT_ARCHIVE"),
]
_LICENCE = "DOFA-CLIP weights (hf-hub:earthflow/...) are CC-BY-NC-4.0."
_MODELS = "embedded, hf-hub:OWNER/NAME or local-dir:PATH"
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help=f"{_MODELS}; default: the archive's model. {_LICENCE}",
        envvar="BANDSIGHT_MODEL",
    ),
]
NewModelOption = Annotated[str, typer.Option("--model", help=f"{_MODELS}. {_LICENCE}", envvar="BANDSIGHT_MODEL")]
OtherModelOption = Annotated[str, typer.Option("--model", help=f"{_MODELS}. {_LICENCE}")]
WavelengthsOption = Annotated[
    str | None,
    typer.Option(
        "--wavelengths",
        help="Wavelengths in µm for a TIFF that does not state them, e.g. 0.49,0.56,0.665,0.842.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", envvar="BANDSIGHT_DEVICE")]
BboxOption = Annotated[
    str | None, typer.Option("--bbox", help="Area as west,south,east,north in degrees; west > east crosses 180°.")
]
DatetimeOption = Annotated[
    str | None,
    typer.Option(
        "--datetime", help="Year, month, day or interval: 2020, 2020-05, 2020-05-01, 2020-01-01/2020-12-31, ../2015."
    ),
]
CollectionOption = Annotated[list[str] | None, typer.Option("--collection", help="Only this collection; repeatable.")]
SensorOption = Annotated[list[str] | None, typer.Option("--sensor", help="Only this sensor; repeatable.")]
MaxCloudOption = Annotated[
    float | None,
    typer.Option(
        "--max-cloud",
        min=0,
        max=1,
        help="Maximum cloud share of a tile; excludes tiles with an unknown share.",
    ),
]
TopOption = Annotated[int, typer.Option("--top", "-k", min=1, max=10_000, help="Number of results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print GeoJSON instead of a table.")]
PlainJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write the results to this file: .geojson, .csv or .parquet.")
]
SheetOption = Annotated[
    Path | None, typer.Option("--sheet", help="Write a contact sheet of the results to this PNG file.")
]
IntersectsOption = Annotated[
    Path | None, typer.Option("--intersects", help="GeoJSON file: only tiles that intersect its geometry.")
]
FilterOption = Annotated[
    str | None, typer.Option("--filter", help='CQL2 text filter, e.g. "eo:cloud_cover" < 10 AND gsd <= 10.')
]
TokenOption = Annotated[
    str | None, typer.Option("--token", help="Token of the next page, as printed by the previous one.")
]
