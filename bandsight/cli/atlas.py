"""Commands for the atlas and the review of an archive."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import ArchiveOption, DeviceOption, ModelOption, PlainJsonOption
from bandsight.errors import QueryError

atlas_app = typer.Typer(
    help="A map of all tiles by similarity, and a review of the archive.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(atlas_app, name="atlas")


@atlas_app.command()
def build(
    archive: ArchiveOption,
    sample: Annotated[
        int, typer.Option("--sample", min=2, max=50_000, help="Tiles to lay out; all others are placed beside them.")
    ] = 10_000,
    words: Annotated[
        Path | None, typer.Option("--words", help="Text file of sentences to name clusters by, one a line.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random numbers.")] = 0,
    as_json: PlainJsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Lay out the atlas and keep it in the archive; `bandsight index` extends it from then on."""
    from bandsight.atlas.atlas import build as built
    from bandsight.atlas.atlas import save
    from bandsight.cli.search import searcher_of

    sentences = _lines(words) if words else []
    with loading.open_archive(archive) as opened:
        made = built(opened, searcher_of(opened, model, device).encoder, sample=sample, words=sentences, seed=seed)
        save(opened, made)
    if as_json:
        typer.echo(json.dumps({"tiles": len(made.ids), "sample": len(made.sample), "clusters": len(made.clusters)}))
        return
    typer.echo(f"{len(made.ids):,} tiles, {len(made.sample):,} of them laid out, {len(made.clusters)} clusters")
    say(f"look at it: bandsight atlas show --archive {archive}")


@atlas_app.command()
def extend(archive: ArchiveOption) -> None:
    """Place tiles that are newer than the atlas, and drop those that are gone; `bandsight index` does it too."""
    from bandsight.atlas.atlas import extend as extended
    from bandsight.atlas.atlas import load, save

    with loading.open_archive(archive) as opened:
        before = load(opened)
        made = extended(opened, before)
        save(opened, made)
    typer.echo(f"{len(made.ids):,} tiles, {len(before.ids):,} before")


@atlas_app.command()
def show(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """List the clusters of the atlas with their names and sizes."""
    from bandsight.atlas.service import chart_of

    with loading.open_archive(archive) as opened:
        made = chart_of(opened).document()
    if as_json:
        typer.echo(json.dumps(made, indent=1))
        return
    typer.echo(f"{made['points']:,} of {made['tiles']:,} tiles, laid out {made['created']}")
    for one in made["clusters"]:
        typer.echo(f"{one['tiles']:>9,}  {one['name']}  ({', '.join(one['words'])})")
    typer.echo(f"{made['unclustered']:>9,}  between clusters")
    if made["missing"]:
        say(f"{made['missing']:,} tiles are not on it yet; run: bandsight atlas extend --archive {archive}")


@atlas_app.command("export")
def export_atlas(
    archive: ArchiveOption,
    out: Annotated[Path, typer.Option("--out", help="GeoParquet file, .parquet.")],
) -> None:
    """Write the atlas as GeoParquet that Apple's embedding-atlas opens."""
    from bandsight.atlas.export import COMMAND, write_parquet
    from bandsight.atlas.service import chart_of

    if out.suffix != ".parquet":
        raise QueryError(f"--out {out}: need a name that ends in .parquet")
    with loading.open_archive(archive) as opened:
        count = write_parquet(opened, chart_of(opened).atlas, out)
    typer.echo(f"{out}: {count:,} tiles")
    say(f"open it: {COMMAND.format(path=out)}")


@atlas_app.command()
def review(
    archive: ArchiveOption,
    likeness: Annotated[float, typer.Option("--likeness", min=0.5, max=1, help="Cosine of near-duplicates.")] = 0.98,
    top: Annotated[int, typer.Option("--top", "-k", min=1, max=10_000, help="Most entries of each list.")] = 20,
    as_json: PlainJsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Report near-duplicates, outliers, over-represented groups and gaps."""
    from bandsight.atlas.review import review as reviewed
    from bandsight.atlas.service import chart_of
    from bandsight.cli.search import searcher_of

    with loading.open_archive(archive) as opened:
        made = reviewed(searcher_of(opened, model, device), chart_of(opened), likeness=likeness, listed=top)
    typer.echo(json.dumps(made, indent=1) if as_json else "\n".join(_report(made, top)))


def _report(made: dict[str, Any], top: int) -> Iterator[str]:
    pairs, outliers, months = made["duplicates"], made["outliers"], made["missing"]["months"]
    yield f"Near-duplicates: pairs of tiles of two scenes with a cosine of {made['likeness']:g} or more"
    yield f"{pairs['copies']:>9,}  of one place on one day"
    yield f"{pairs['repeats']:>9,}  of one place on two days"
    yield f"{pairs['lookalikes']:>9,}  of two places"
    for one in pairs["scenes"]:
        yield f"  {' and '.join(one['scenes'])}: {one['tiles']:,} tiles alike, {100 * one['share']:.0f}% of the smaller"
    yield f"Outliers: {outliers['count']:,} tiles lie far from all others"
    for one in outliers["tiles"]:
        cloud = "" if one["cloud_fraction"] is None else f", cloud {100 * one['cloud_fraction']:.0f}%"
        look = f", looks most like {one['looks_like']}" if one["looks_like"] else ""
        yield f"  tile {one['tile']}  {one['scene']}{cloud}{look}"
    for kind, own in made["frequent"].items():
        yield f"Tiles by {kind.removesuffix('s')}; as varied as {own['effective']:g} {kind} of equal size"
        for one in own["rows"][:top]:
            much = "  over-represented" if one["much"] else ""
            yield f"{one['tiles']:>9,}  {100 * one['share']:>3.0f}%  {one['name']}{much}"
    yield f"Months without scenes, from {months['first'] or 'no date'} to {months['last'] or 'no date'}"
    for one in months["gaps"]:
        yield f"  {one['months']} between {one['after']} and {one['before']}"
    words = ", ".join(one["name"] for one in made["missing"]["words"])
    yield f"Kinds of places that no tile is likely to show: {words or 'none of those that were tried'}"


def _lines(path: Path) -> list[str]:
    try:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise QueryError(f"--words {path}: cannot be read ({error}); pass a text file") from error
    if not found:
        raise QueryError(f"--words {path}: it is empty; write one sentence a line, e.g. a forest")
    return found
