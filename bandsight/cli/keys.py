"""Commands for API keys."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import ArchiveOption, PlainJsonOption
from bandsight.errors import SettingsError

if TYPE_CHECKING:
    from search_api.keys import Key, KeyFile
    from search_api.policies import Scope

keys_app = typer.Typer(help="Manage the keys of a server's clients.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
KeysFileOption = Annotated[
    Path | None,
    typer.Option(
        "--keys-file", help="Key file; default: keys.json in the archive's folder.", envvar="BANDSIGHT_KEYS_FILE"
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Name of the client.")]


@keys_app.command()
def add(
    name: NameArgument,
    archive: ArchiveOption,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="Scope: read, pictures, write or admin; repeatable. Each includes read. Default: read."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Lifetime of the key: 12h, 90d or 52w; default: no expiry.")
    ] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Limit in units of work per minute.")] = None,
    quota: Annotated[int | None, typer.Option("--quota", help="Limit in requests per day.")] = None,
    keys_file: KeysFileOption = None,
) -> None:
    """Create a key and print it. It is shown only once; a running server accepts it within a second."""
    from search_api.keys import new_key

    key, text = new_key(
        name,
        [_scope(one) for one in scope or ["read"]],
        lifetime=None if expires is None else _duration(expires),
        rate_per_minute=rate,
        quota_per_day=quota,
    )
    _file(archive, keys_file).add(key)
    _audit("keys.add", key.name)
    typer.echo(text)


@keys_app.command("list")
def list_keys(archive: ArchiveOption, keys_file: KeysFileOption = None, as_json: PlainJsonOption = False) -> None:
    """List the keys, without their secrets."""
    keys = _file(archive, keys_file).read()
    if as_json:
        typer.echo(json.dumps([_facts(key) for key in keys], indent=1))
        return
    if not keys:
        say("no keys; create one with: bandsight keys add NAME")
    for key in keys:
        facts = _facts(key)
        limits = [
            f"{facts[name]} {name.replace('_', ' ')}" for name in ("rate_per_minute", "quota_per_day") if facts[name]
        ]
        parts = [key.name, ",".join(facts["scopes"]), f"expires {facts['expires'] or 'never'}", *limits]
        typer.echo("  ".join(parts))


@keys_app.command()
def remove(name: NameArgument, archive: ArchiveOption, keys_file: KeysFileOption = None) -> None:
    """Remove a key. A running server rejects it and its browser sessions within a second."""
    count = _file(archive, keys_file).remove(name)
    _audit("keys.remove", name)
    say(f"{name}: removed" if count == 1 else f"{name}: {count} keys removed")


@keys_app.command()
def rotate(
    name: NameArgument,
    archive: ArchiveOption,
    grace: Annotated[str, typer.Option("--grace", help="How long the old key remains valid: 12h, 7d.")] = "24h",
    keys_file: KeysFileOption = None,
) -> None:
    """Replace a key with a new one with the same scopes and limits, and print it."""
    text = _file(archive, keys_file).rotate(name, _duration(grace))
    _audit("keys.rotate", name)
    typer.echo(text)


def _facts(key: "Key") -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "rate_per_minute": key.rate_per_minute,
        "quota_per_day": key.quota_per_day,
    }


def _file(archive: str, keys_file: Path | None) -> "KeyFile":
    from search_api.keys import KeyFile
    from search_api.settings import ApiSettings, keys_path

    return KeyFile(keys_path(ApiSettings(archive=archive, keys_file=keys_file)))


def _scope(text: str) -> "Scope":
    from search_api.policies import Scope

    try:
        return Scope(text)
    except ValueError:
        raise SettingsError(f"--scope: found {text!r}; need one of {', '.join(Scope)}") from None


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if found is None:
        raise SettingsError(f"found the duration {text!r}; need a number and h, d or w, e.g. 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _audit(event: str, name: str) -> None:
    from search_api.logs import audit, audit_to
    from search_api.settings import ApiSettings

    file = ApiSettings().audit_file
    if file is not None:
        audit_to(str(file))
        audit(event, key=name)
