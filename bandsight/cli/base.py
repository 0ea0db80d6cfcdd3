"""The root application, to which each group adds its commands."""

from typing import Annotated

import typer

from bandsight import __version__

app = typer.Typer(
    help="Find every place that looks like this: semantic search for satellite archives of any sensor.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
