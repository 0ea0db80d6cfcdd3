"""The command that serves an archive over HTTP."""

import os
import socket
from typing import Annotated, Any

import typer

from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import DeviceOption, ModelOption
from bandsight.errors import SettingsError


@app.command()
def serve(
    archive: Annotated[
        str | None, typer.Option("--archive", "-a", help="Archive: a folder or a URL.", envvar="BANDSIGHT_ARCHIVE")
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(
            "--mount",
            metavar="NAME=ARCHIVE",
            help="Serve this archive under /NAME/, instead of --archive; repeatable, or BANDSIGHT_ARCHIVES.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to bind.", envvar="BANDSIGHT_HOST")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to bind.", envvar="BANDSIGHT_PORT")
    ] = 8000,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    key: Annotated[
        str | None,
        typer.Option("--key", help="Key that clients must send; BANDSIGHT_KEY is safer.", envvar="BANDSIGHT_KEY"),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=64,
            help="Number of worker processes; each loads the model.",
            envvar="BANDSIGHT_WORKERS",
        ),
    ] = 1,
) -> None:
    """Serve the search API and the search page; docs/settings.md lists all settings.

    SIGTERM stops it after running requests have finished. With several workers, SIGHUP replaces them one by one.
    """
    from pydantic import SecretStr

    from bandsight.archive import archive_exists
    from search_api.server import serve as run
    from search_api.service import freeze_gc, open_service
    from search_api.settings import load_settings

    settings = load_settings(
        **_archives(archive, mount or []),
        model=model,
        device=device,
        host=host,
        port=port,
        key=SecretStr(key) if key else None,
        workers=workers,
    )
    if settings.allow_anonymous and settings.key is None:
        say("Anyone who can reach this server can use it (BANDSIGHT_ALLOW_ANONYMOUS), unless it has keys.")
    check_port(host, port)
    if settings.archives:
        for name, one in settings.archives.items():
            say(f"http://{host}:{port}/{name}/  ({one if archive_exists(one) else f'no archive at {one} yet'})")
        run(settings, None)
        return
    if not archive_exists(settings.archive):
        say(f"http://{host}:{port}/  (no archive at {archive} yet: the page explains what to do)")
        run(settings, None)
        return
    if workers > 1:
        say(f"http://{host}:{port}/  ({workers} workers)")
        run(settings, None)
        return
    service = open_service(settings)
    try:
        freeze_gc()
        say(f"http://{host}:{port}/  (model {service.encoder.name}, {service.encoder.license})")
        run(settings, service)
    finally:
        service.archive.close()


def _archives(archive: str | None, mounts: list[str]) -> dict[str, Any]:
    """Return the settings of what to serve.

    Raises:
        SettingsError: There is nothing to serve, or a name is missing or used twice.
    """
    if not mounts and os.environ.get("BANDSIGHT_ARCHIVES"):
        return {}
    if not mounts:
        if archive is None:
            raise SettingsError("serve: found no archive; pass --archive, or --mount NAME=ARCHIVE for each of several")
        return {"archive": archive, "archives": {}}
    found: dict[str, str] = {}
    for mount in mounts:
        name, equals, where = mount.partition("=")
        if not equals or not where or name in found:
            raise SettingsError(f"--mount: found {mount!r}; need NAME=ARCHIVE, each name once")
        found[name] = where
    return {"archives": found}


def check_port(host: str, port: int) -> None:
    """Check that the address can be listened on before the model is loaded.

    Raises:
        SettingsError: The port is taken or not permitted, or the host is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            # As the server does: a port with closing connections counts as free.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port}: cannot listen there ({error.strerror}); pass another --port, or stop the process that "
            "uses it"
        ) from error
