"""The server delivers alerts by itself, and no kill loses one."""

import time
from pathlib import Path

import pytest

from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import ALLOW_VARIABLE
from bandsight.archive import ArchiveWriter
from bandsight.errors import SettingsError
from search_api import alert_delivery
from search_api.settings import load_settings
from tests.alerts.kills import killed
from tests.learning.makers import SENTENCE, dated
from tests.search_api.stac.conftest import app_of, served

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv(ALLOW_VARIABLE, "127.0.0.1")
    monkeypatch.setattr(alert_delivery, "_LOOK_S", 0.05)


def commit(searcher, hook, targets, path):
    body = SubscribeBody(q=SENTENCE, min_score=0.3, webhook=hook.url)
    subscribe(searcher, body, targets)
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(range(300, 320), 0)])
    return [one.id for one in searcher.archive.alerts.newest(1000)]


def test_a_server_delivers_alerts_by_itself(searcher, hook, targets, path):
    with served(app_of(searcher.archive)):
        ids = commit(searcher, hook, targets, path)
        end = time.monotonic() + WAIT_S
        while set(hook.ids) != set(ids) and time.monotonic() < end:
            time.sleep(0.05)
    assert sorted(hook.ids) == sorted(ids)
    assert searcher.archive.alerts.counts() == {"delivered": len(ids)}


def test_two_servers_of_one_archive_send_each_alert_once(searcher, hook, targets, path):
    ids = commit(searcher, hook, targets, path)
    with served(app_of(searcher.archive)), served(app_of(searcher.archive)):
        end = time.monotonic() + WAIT_S
        while "pending" in searcher.archive.alerts.counts() and time.monotonic() < end:
            time.sleep(0.05)
    assert sorted(hook.ids) == sorted(ids)


def test_a_server_told_not_to_deliver_leaves_alerts_to_others(searcher, hook, targets, path):
    ids = commit(searcher, hook, targets, path)
    with served(app_of(searcher.archive, deliver_alerts=False)):
        time.sleep(0.5)
    assert hook.ids == []
    assert searcher.archive.alerts.counts() == {"pending": len(ids)}


def test_wrong_mail_settings_stop_the_server_at_once(monkeypatch):
    monkeypatch.setenv("BANDSIGHT_SMTP_URL", "mail.example.org")
    with pytest.raises(SettingsError, match="BANDSIGHT_SMTP_URL"):
        load_settings()


def test_kills_of_indexer_and_servers_lose_no_alert(path: Path):
    found = killed(path, kills=9)
    assert (found["missing"], found["invented"], found["undelivered"]) == (0, 0, 0)
    assert found["alerts"] > 20
