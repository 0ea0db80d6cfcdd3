"""The commands that watch for new tiles: subscriptions, alerts, and their delivery."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bandsight.cli import loading
from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.cli.options import (
    ArchiveOption,
    BboxOption,
    CollectionOption,
    DeviceOption,
    FilterOption,
    IntersectsOption,
    MaxCloudOption,
    ModelOption,
    PlainJsonOption,
    SensorOption,
)
from bandsight.errors import QueryError

if TYPE_CHECKING:
    from bandsight.alerts.service import AlertService

watch_app = typer.Typer(
    help="Watch for new scenes: subscriptions, alerts and their delivery.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(watch_app, name="watch")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of a subscription, from: bandsight watch list.")]
AllowOption = Annotated[
    str | None,
    typer.Option(
        "--allow",
        help="Hosts, addresses and networks that webhooks may reach in addition to public ones.",
        envvar="BANDSIGHT_WEBHOOK_ALLOW",
    ),
]


@watch_app.command("add")
def add_subscription(
    archive: ArchiveOption,
    question: Annotated[str, typer.Argument(help='What to watch for: a sentence, or "classifier:NAME > 0.8".')],
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank",
            min=1,
            max=10_000,
            help="Alert on tiles at least as good as the current tile of this rank; default: 10.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", min=-1, max=1, help="Alert on tiles with at least this score instead."),
    ] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability",
            min=0,
            max=1,
            help="Alert on tiles that show what the sentence describes with at least this probability.",
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title shown in alerts.")] = "",
    webhook: Annotated[
        str | None, typer.Option("--webhook", help="URL that receives each alert as a CloudEvent.")
    ] = None,
    email: Annotated[
        str | None, typer.Option("--email", help="E-mail address that receives alerts, sent via BANDSIGHT_SMTP_URL.")
    ] = None,
    quiet: Annotated[str | None, typer.Option("--quiet", help="Quiet hours, e.g. '22:00-07:00 Europe/Berlin'.")] = None,
    digest: Annotated[
        Literal["hourly", "daily"] | None, typer.Option("--digest", help="Send alerts together, hourly or daily.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File with the secret that signs webhook calls.")
    ] = None,
    every_date: Annotated[
        bool, typer.Option("--every-date", help="Alert for every date of a place, not only once.")
    ] = False,
    bbox: BboxOption = None,
    intersects: IntersectsOption = None,
    collection: CollectionOption = None,
    sensor: SensorOption = None,
    max_cloud: MaxCloudOption = None,
    cql2: FilterOption = None,
    allow: AllowOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Subscribe to a search: match it against every new commit."""
    from bandsight.cli.search import filters_of

    body = {
        "q": question,
        "rank": rank,
        "min_score": min_score,
        "min_probability": min_probability,
        "title": title,
        "webhook": webhook,
        "email": email,
        "quiet": quiet,
        "digest": digest,
        "secret": None if secret_file is None else _secret(secret_file),
        "per_place": not every_date,
        **filters_of(bbox, intersects, None, collection, sensor, max_cloud, cql2),
    }
    with loading.open_archive(archive) as opened:
        made = _service(opened, allow, model, device).subscribe(
            {name: value for name, value in body.items() if value is not None}
        )
    typer.echo(f"{made['id']}: {made['title']}, {_least(made)}")
    if "secret" in made and secret_file is None:
        say(f"webhook secret, shown only once: {made['secret']}")


@watch_app.command("list")
def list_subscriptions(archive: ArchiveOption, as_json: PlainJsonOption = False) -> None:
    """List the subscriptions."""
    with loading.open_archive(archive) as opened:
        found = _service(opened, None, None, "cpu").subscriptions()["subscriptions"]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for one in found:
        where = one["webhook"] or one["email"] or "list and feeds"
        paused = ", paused" if one["paused"] else ""
        typer.echo(f"{one['id']}: {one['title']}, {_least(one)}{paused}; {where}")
    if not found:
        typer.echo('no subscriptions yet; create one: bandsight watch add "a new quarry"')


@watch_app.command()
def alerts(
    archive: ArchiveOption,
    subscription: Annotated[
        str | None, typer.Option("--subscription", help="Only alerts of this subscription.")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", min=1, max=1000, help="Number of alerts.")] = 20,
    as_json: PlainJsonOption = False,
) -> None:
    """List the newest alerts."""
    with loading.open_archive(archive) as opened:
        found = _service(opened, None, None, "cpu").alerts(top, None, subscription)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for one in found["alerts"]:
        line = f"{one['created']}  {one['score']:.3f}  tile {one['tile']}  {one['scene']}  {one['state']}"
        typer.echo(line + (f" after {one['attempts']} attempts: {one['error']}" if one["error"] else ""))
    if not found["alerts"]:
        typer.echo("no alerts yet")


@watch_app.command()
def pause(archive: ArchiveOption, subscription: IdArgument) -> None:
    """Pause a subscription."""
    with loading.open_archive(archive) as opened:
        opened.alerts.pause(subscription, paused=True)
    typer.echo(f"{subscription}: paused")


@watch_app.command()
def resume(archive: ArchiveOption, subscription: IdArgument) -> None:
    """Resume a paused subscription."""
    with loading.open_archive(archive) as opened:
        opened.alerts.pause(subscription, paused=False)
    typer.echo(f"{subscription}: resumed")


@watch_app.command("delete")
def unsubscribe(archive: ArchiveOption, subscription: IdArgument) -> None:
    """Delete a subscription and its alerts."""
    with loading.open_archive(archive) as opened:
        opened.alerts.unsubscribe(subscription)
    typer.echo(f"{subscription}: deleted")


@watch_app.command("test")
def send_test(archive: ArchiveOption, subscription: IdArgument, allow: AllowOption = None) -> None:
    """Send a test alert to the webhook or e-mail address of a subscription."""
    with loading.open_archive(archive) as opened:
        done = _service(opened, allow, None, "cpu").test(subscription)
    if not done["delivered"]:
        raise QueryError(f"subscription {subscription}: not delivered; {done['error']}")
    typer.echo("delivered")


@watch_app.command()
def deliver(
    archive: ArchiveOption,
    every: Annotated[
        float | None,
        typer.Option("--every", min=0.1, help="Keep running, and check every so many seconds; default: check once."),
    ] = None,
    allow: AllowOption = None,
) -> None:
    """Deliver pending alerts to webhooks and e-mail addresses."""
    from bandsight.alerts.delivery import deliver_due, deliver_forever
    from bandsight.alerts.webhooks import Targets

    targets = Targets.of_environment(os.environ, allow)
    with loading.open_archive(archive) as opened:
        if every is not None:
            deliver_forever(opened, targets, every_s=every, report=say)
        done = deliver_due(opened, targets)
    typer.echo(f"{done.delivered} delivered, {done.failed} to be retried, {done.given_up} given up")


def _least(one: dict[str, Any]) -> str:
    if one["min_probability"] is None:
        return f"score at least {one['min_score']:.3f}"
    return f"probability at least {one['min_probability']:.2f}, on {', '.join(one['imagery'])} imagery"


def _service(opened: Any, allow: str | None, model: str | None, device: str) -> "AlertService":
    from bandsight.alerts.service import AlertService
    from bandsight.alerts.webhooks import Targets
    from bandsight.cli.search import searcher_of

    return AlertService(searcher_of(opened, model, device), Targets.of_environment(os.environ, allow))


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise QueryError(f"{path}: cannot be read ({error}); pass a text file with the secret") from error
