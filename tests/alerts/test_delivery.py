import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from bandsight.alerts import webhooks
from bandsight.alerts.delivery import LONGEST_S, MAX_ATTEMPTS, deliver_due, send_test, wait_s
from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import Targets
from bandsight.archive import Archive, ArchiveWriter
from bandsight.errors import QueryError
from tests.learning.makers import SENTENCE, dated


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def watched(searcher, hook, targets, path, places=range(300, 320), **body):
    given = {"q": SENTENCE, "min_score": 0.3, "webhook": hook.url, "secret": "0123456789abcdef"} | body
    made = subscribe(searcher, SubscribeBody.model_validate(given), targets)
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(places, 0)])
    return made, [one.id for one in reversed(searcher.archive.alerts.newest(1000))]


def test_an_alert_is_a_signed_cloudevent(searcher, hook, targets, path):
    _, ids = watched(searcher, hook, targets, path)
    done = deliver_due(searcher.archive, targets)
    assert (done.delivered, done.failed) == (len(ids), 0)
    assert hook.ids == ids
    event, headers, body = hook.events[0], hook.headers[0], hook.bodies[0]
    assert (event["specversion"], event["type"]) == ("1.0", "org.bandsight.alert.v1")
    assert event["data"]["title"] == SENTENCE
    assert headers["content-type"] == "application/cloudevents+json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"0123456789abcdef", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert deliver_due(searcher.archive, targets).delivered == 0
    assert {one.state for one in searcher.archive.alerts.newest()} == {"delivered"}


def test_a_receiver_that_fails_for_an_hour_gets_each_alert_once(searcher, hook, targets, path):
    _, ids = watched(searcher, hook, targets, path)
    clock = Clock()
    hook.status = 500
    tries = 0
    while (clock.now - datetime.now(UTC)).total_seconds() < 3600:
        tries += deliver_due(searcher.archive, targets, now=clock).failed
        clock.forward(60)
    assert tries < 12 * len(ids)
    (one, *_) = searcher.archive.alerts.newest()
    assert (one.state, "HTTP status 500" in one.error) == ("pending", True)
    hook.status = 200
    clock.forward(LONGEST_S)
    assert deliver_due(searcher.archive, targets, now=clock).delivered == len(ids)
    assert sorted(hook.ids) == sorted(ids)


def test_a_clock_that_jumps_back_does_not_hold_alerts_up_for_long(searcher, hook, targets, path):
    _, ids = watched(searcher, hook, targets, path)
    clock = Clock()
    clock.forward(400 * 86_400)
    hook.status = 500
    assert deliver_due(searcher.archive, targets, now=clock).failed == len(ids)
    hook.status = 200
    assert deliver_due(searcher.archive, targets).delivered == len(ids)


def test_an_alert_is_abandoned_after_many_attempts_and_shown_as_failed(searcher, hook, targets, path):
    _, ids = watched(searcher, hook, targets, path)
    clock = Clock()
    hook.status = 410
    given_up = 0
    for _ in range(MAX_ATTEMPTS):
        given_up += deliver_due(searcher.archive, targets, now=clock).given_up
        clock.forward(LONGEST_S)
    assert given_up == len(ids)
    assert searcher.archive.alerts.counts() == {"failed": len(ids)}


def test_waits_double_up_to_six_hours():
    assert 8 <= wait_s(1) <= 10
    assert 16 <= wait_s(2) <= 20
    assert wait_s(40) <= LONGEST_S
    assert sum(wait_s(n) for n in range(1, MAX_ATTEMPTS)) > 3 * 86_400


def test_redirects_are_not_followed(searcher, hook, targets, path):
    watched(searcher, hook, targets, path)
    hook.status, hook.location = 302, hook.url + "/elsewhere"
    assert deliver_due(searcher.archive, targets).delivered == 0
    assert "HTTP status 302" in searcher.archive.alerts.newest()[0].error


@pytest.mark.parametrize(
    ("addresses", "allowed", "reached"),
    [
        (["93.184.215.14"], (), True),
        (["127.0.0.1"], (), False),
        (["10.1.2.3"], (), False),
        (["169.254.169.254"], (), False),
        (["::1"], (), False),
        (["fd00::1"], (), False),
        (["::ffff:127.0.0.1"], (), False),
        (["64:ff9b::7f00:1"], (), False),
        (["2002:a00:1::"], (), False),
        (["64:ff9b::5db8:d70e"], (), True),
        (["0.0.0.0"], (), False),  # noqa: S104
        (["224.0.0.1"], (), False),
        (["93.184.215.14", "192.168.0.1"], (), False),
        (["10.1.2.3"], ("10.0.0.0/8",), True),
        (["10.1.2.3"], ("hook.test",), True),
        (["10.1.2.3"], ("other.test",), False),
    ],
)
def test_webhooks_reach_public_addresses_and_allowed_ones_only(addresses, allowed, reached):
    targets = Targets(allowed=allowed, resolve=lambda *_: addresses)
    if reached:
        assert targets.check("https://hook.test/x").address == addresses[0]
    else:
        with pytest.raises(
            QueryError, match=r"is not a public address; to allow it, set BANDSIGHT_WEBHOOK_ALLOW=hook\.test"
        ):
            targets.check("https://hook.test/x")


@pytest.mark.parametrize("url", ["ftp://a.test", "https://", "https://me@a.test", "https://a.test:99999", "x" * 3000])
def test_invalid_webhook_urls_are_rejected(url):
    with pytest.raises(QueryError, match="webhook"):
        Targets(resolve=lambda *_: ["93.184.215.14"]).check(url)


def test_a_name_that_points_elsewhere_later_is_refused_then(searcher, hook, path):
    now = ["127.0.0.1"]
    targets = Targets(allowed=("127.0.0.1",), resolve=lambda *_: list(now))
    watched(searcher, hook, targets, path, webhook=hook.url.replace("127.0.0.1", "hook.test"))
    now[0] = "10.0.0.1"
    assert deliver_due(searcher.archive, targets).failed > 0
    assert "10.0.0.1, which is not a public address" in searcher.archive.alerts.newest()[0].error
    now[0] = "127.0.0.1"
    clock = Clock()
    clock.forward(60)
    assert deliver_due(searcher.archive, targets, now=clock).delivered > 0
    assert hook.headers[0]["host"].startswith("hook.test:")


def test_a_test_delivery_reports_what_happened(searcher, hook, targets, path):
    made, _ = watched(searcher, hook, targets, path)
    assert send_test(searcher.archive, targets, made.id) == ""
    assert hook.events[-1]["data"]["test"] is True
    hook.status = 500
    assert "HTTP status 500" in send_test(searcher.archive, targets, made.id)
    silent = subscribe(searcher, SubscribeBody(q=SENTENCE), targets)
    with pytest.raises(QueryError, match="no webhook or email to test"):
        send_test(searcher.archive, targets, silent.id)


def _commit_and_deliver(path, first):
    """What a killed process does: commits scenes and delivers alerts, as fast as it can."""
    targets = Targets(allowed=("127.0.0.1",))
    with ArchiveWriter.open(path) as writer:
        for number in range(first, first + 100):
            writer.add([dated(range(1000 + 5 * number, 1005 + 5 * number), 0)])
            deliver_due(writer, targets)


def test_killed_at_any_moment_every_alert_arrives_and_repetitions_have_the_same_id(searcher, hook, targets, path):
    given = {"q": SENTENCE, "min_score": -1, "webhook": hook.url, "per_place": False}
    made = subscribe(searcher, SubscribeBody.model_validate(given), targets)
    start = multiprocessing.get_context("fork")
    for kill in range(6):
        process = start.Process(target=_commit_and_deliver, args=(path, 100 * kill))
        received = len(hook.bodies)
        process.start()
        # Some way into its work, however slow the machine is.
        while len(hook.bodies) < received + 3 + 4 * kill:
            assert process.is_alive()
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    clock = Clock()
    clock.forward(3600)
    deliver_due(searcher.archive, targets, now=clock)
    archive = searcher.archive
    with ArchiveWriter.open(path) as writer:
        tiles = {one for one in writer.tile_ids(_all()).tolist() if int(writer.tile(one).cell.split("/")[1]) >= 1000}
    alerts = archive.alerts.newest(100_000, subscription_id=made.id)
    assert {one.tile for one in alerts} == tiles
    assert len(tiles) > 10
    assert set(hook.ids) == {one.id for one in alerts}
    assert {one.state for one in alerts} == {"delivered"}


def _all():
    from bandsight.attributes.filters import Filter

    return Filter()


def test_commits_do_not_wait_for_receivers(searcher, hook, targets, path):
    # Commits only write rows: nothing is sent before somebody delivers.
    watched(searcher, hook, targets, path)
    assert hook.bodies == []


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_slow_receiver_does_not_delay_others(searcher, hook, targets, path, monkeypatch, drip):
    monkeypatch.setattr(webhooks, "DEADLINE_S", 1.0)
    with dripping(drip) as url:
        slow = subscribe(searcher, SubscribeBody(q=SENTENCE, min_score=0.3, webhook=url), targets)
        made, _ = watched(searcher, hook, targets, path)
        began = time.monotonic()
        done = deliver_due(searcher.archive, targets)
    alerts = searcher.archive.alerts
    ids = [one.id for one in alerts.newest(1000, subscription_id=made.id)]
    assert sorted(hook.ids) == sorted(ids)
    late = alerts.newest(1000, subscription_id=slow.id)
    assert (done.delivered, done.failed) == (len(ids), len(late))
    assert {one.error for one in late} == {"127.0.0.1: no response within 1 s"}
    # One call, not one for each alert.
    assert time.monotonic() - began < len(late)


@contextmanager
def dripping(first):
    """A receiver that sends the head of its response one byte at a time, for ever."""
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                opened, _ = listening.accept()
            except OSError:
                return
            with opened, suppress(OSError):
                opened.sendall(first)
                while not over.wait(0.1):
                    opened.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_an_alert_is_delivered_by_one_of_two_deliverers(searcher, hook, targets, path):
    _, ids = watched(searcher, hook, targets, path)
    archive = searcher.archive
    now = datetime.now(UTC)
    first = archive.alerts.claim(100, now, lease_s=60, longest_s=LONGEST_S)
    with Archive.open(path) as other:
        assert other.alerts.claim(100, now, lease_s=60, longest_s=LONGEST_S) == []
        again = other.alerts.claim(100, now + timedelta(seconds=61), lease_s=60, longest_s=LONGEST_S)
    assert [one.id for one in first] == [one.id for one in again] == ids


def test_events_are_plain_json(searcher, hook, targets, path):
    watched(searcher, hook, targets, path)
    deliver_due(searcher.archive, targets)
    data = json.loads(hook.bodies[0])["data"]
    assert {"tile", "score", "scene", "datetime", "geometry", "generation"} <= set(data)
