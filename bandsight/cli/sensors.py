"""Commands for sensor profiles."""

from typing import Annotated

import typer

from bandsight.cli.base import app
from bandsight.cli.options import ProfilesOption

sensors = typer.Typer(help="List, show and match sensor profiles.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sensors, name="sensors")


@sensors.command("list")
def sensors_list(profiles: ProfilesOption = None) -> None:
    """List the sensor profiles."""
    from bandsight.sensors.listing import profile_lines
    from bandsight.sensors.profile import load_profiles

    typer.echo("\n".join(profile_lines(load_profiles(profiles))))


@sensors.command("show")
def sensors_show(
    name: Annotated[str, typer.Argument(help="Name of a profile, from `bandsight sensors list`.")],
    profiles: ProfilesOption = None,
) -> None:
    """Show a profile: bands, wavelengths, scaling and quality band."""
    from bandsight.sensors.listing import profile_text
    from bandsight.sensors.profile import load_profiles, profile_named

    typer.echo(profile_text(profile_named(name, load_profiles(profiles))))


@sensors.command("match")
def sensors_match(
    paths: Annotated[list[str], typer.Argument(help="Scenes: files, or folders of scenes or band files.")],
    sensor: Annotated[str | None, typer.Option("--sensor", help="Sensor profile for scenes that match none.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --sensor override a match.")] = False,
    profiles: ProfilesOption = None,
) -> None:
    """Show which sensor each scene matches, and why, without indexing."""
    from indexer.description import describe_scenes

    failed = False
    for text, ok in describe_scenes(paths, sensor=sensor, force=force, profiles=profiles):
        typer.echo(text)
        failed = failed or not ok
    if failed:
        raise typer.Exit(1)
