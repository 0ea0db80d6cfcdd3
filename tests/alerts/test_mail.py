"""Alerts by e-mail, quiet hours, and digests."""

from datetime import UTC, datetime, timedelta

import pytest

from bandsight.alerts.delivery import deliver_due, send_test
from bandsight.alerts.mail import Mail
from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.schedule import quiet_hours, send_at
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import Targets
from bandsight.archive import ArchiveWriter
from bandsight.errors import QueryError
from tests.alerts.post import post
from tests.learning.makers import SENTENCE, dated

ADDRESS = "ada@example.org"


@pytest.fixture
def office():
    with post() as made:
        yield made


@pytest.fixture
def by_mail(office):
    return Targets(
        allowed=("127.0.0.1",), mail=Mail(url=office.url, sender="bandsight@example.org", allowed=("@example.org",))
    )


def watched(searcher, targets, path, **body):
    given = {"q": SENTENCE, "min_score": 0.3, "title": "new quarries", **body}
    made = subscribe(searcher, SubscribeBody.model_validate(given), targets)
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(range(300, 320), 0)])
    return made, [one.id for one in reversed(searcher.archive.alerts.newest(1000))]


def later(seconds):
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return lambda: at


def test_each_alert_is_a_message_that_says_what_was_found_where(searcher, by_mail, path, office):
    _, ids = watched(searcher, by_mail, path, email=ADDRESS)
    assert deliver_due(searcher.archive, by_mail).delivered == len(ids) > 1
    first = office.messages[0]
    assert (first["To"], first["From"]) == (ADDRESS, "bandsight@example.org")
    assert first["Subject"] == "new quarries: 1 new place"
    assert {message["Message-ID"] for message in office.messages} == {f"<{one}@bandsight.invalid>" for one in ids}
    (alert,) = [one for one in searcher.archive.alerts.newest(1000) if one.id in first["Message-ID"]]
    text = first.get_content()
    assert f"tile {alert.tile}  {alert.data['scene']}" in text
    assert "bandsight watch delete" in text


def test_a_mail_server_that_refuses_gets_the_message_again_with_the_same_id(searcher, by_mail, path, office):
    _, ids = watched(searcher, by_mail, path, email=ADDRESS)
    office.refuses = True
    assert deliver_due(searcher.archive, by_mail).failed == len(ids)
    assert "451" in searcher.archive.alerts.newest()[0].error
    office.refuses = False
    assert deliver_due(searcher.archive, by_mail, now=later(60)).delivered == len(ids)
    assert sorted(message["Message-ID"] for message in office.messages) == sorted(
        f"<{one}@bandsight.invalid>" for one in ids
    )


def test_a_digest_is_one_message_at_the_next_full_hour(searcher, by_mail, path, office):
    _, ids = watched(searcher, by_mail, path, email=ADDRESS, digest="hourly")
    nothing = deliver_due(searcher.archive, by_mail)
    assert (nothing.delivered, nothing.failed, len(office.messages)) == (0, 0, 0)
    assert deliver_due(searcher.archive, by_mail, now=later(3600)).delivered == len(ids)
    (message,) = office.messages
    assert message["Subject"] == f"new quarries: {len(ids)} new places"
    assert message.get_content().count("score") == len(ids)


def test_a_webhook_gets_a_digest_as_a_batch_of_cloudevents(searcher, by_mail, path, hook):
    _, ids = watched(searcher, by_mail, path, webhook=hook.url, digest="daily")
    assert deliver_due(searcher.archive, by_mail).delivered == 0
    assert deliver_due(searcher.archive, by_mail, now=later(86_400)).delivered == len(ids)
    (events,) = hook.events
    assert [event["id"] for event in events] == ids
    assert hook.headers[0]["content-type"] == "application/cloudevents-batch+json"


def test_alerts_claimed_by_another_deliverer_are_not_sent_twice(searcher, by_mail, path, office):
    watched(searcher, by_mail, path, email=ADDRESS)
    at = datetime.now(UTC)
    held = searcher.archive.alerts.claim(1000, at, lease_s=120, longest_s=172_800)
    assert held
    assert deliver_due(searcher.archive, by_mail, now=lambda: at).delivered == 0
    assert office.messages == []


@pytest.mark.parametrize(
    ("quiet", "now", "expected"),
    [
        ("22:00-07:00", "2026-03-01T23:30", "2026-03-02T07:00"),
        ("22:00-07:00", "2026-03-01T06:59", "2026-03-01T07:00"),
        ("22:00-07:00", "2026-03-01T07:00", "2026-03-01T07:00"),
        ("22:00-07:00", "2026-03-01T12:00", "2026-03-01T12:00"),
        ("09:00-17:00 Europe/Berlin", "2026-01-15T08:30", "2026-01-15T16:00"),
        ("09:00-17:00 Europe/Berlin", "2026-07-15T08:30", "2026-07-15T15:00"),
        ("09:00-17:00 Europe/Berlin", "2026-07-15T06:59", "2026-07-15T06:59"),
        # The night in which clocks go forward.
        ("22:00-07:00 Europe/Berlin", "2026-03-28T23:00", "2026-03-29T05:00"),
    ],
)
def test_nothing_is_sent_in_quiet_hours(quiet, now, expected):
    at, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, expected))
    assert quiet_hours(quiet).over(at) == end


def test_an_alert_in_quiet_hours_waits_without_an_attempt(searcher, by_mail, path, office):
    made, ids = watched(searcher, by_mail, path, email=ADDRESS, quiet="00:00-23:59")
    midday = datetime.now(UTC).replace(hour=12)
    deliver_due(searcher.archive, by_mail, now=lambda: midday)
    (one, *_) = searcher.archive.alerts.newest()
    assert (one.state, one.attempts, one.error) == ("pending", 0, "")
    assert one.next_attempt == midday.replace(hour=23, minute=59, second=0, microsecond=0)
    assert send_at(made, one, midday) == one.next_attempt
    assert deliver_due(searcher.archive, by_mail, now=lambda: one.next_attempt).delivered == len(ids)


def test_a_test_message_is_sent_at_once(searcher, by_mail, path, office):
    made, _ = watched(searcher, by_mail, path, email=ADDRESS, quiet="00:00-23:59", digest="daily")
    assert send_test(searcher.archive, by_mail, made.id) == ""
    assert "This is a test" in office.messages[0].get_content()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"email": "ada"}, "email: found 'ada'; need one address"),
        ({"email": "ada@example.org\nBcc: all@example.org"}, "need one address"),
        ({"email": "ada@elsewhere.net"}, "ada@elsewhere.net is not among the addresses and domains of BANDSIGHT_MAIL"),
        ({"email": ADDRESS, "webhook": "http://127.0.0.1/"}, "webhook, email: found both"),
        ({"email": ADDRESS, "quiet": "at night"}, "quiet: found 'at night'; need two times and a time zone"),
        ({"email": ADDRESS, "quiet": "25:00-07:00"}, "need two times"),
        ({"email": ADDRESS, "quiet": "07:00-07:00"}, "need two times"),
        ({"email": ADDRESS, "quiet": "22:00-07:00 Mars/Olympus"}, "need two times and a time zone"),
        ({"email": ADDRESS, "quiet": "22:00-07:00 ../../etc/passwd"}, "need two times and a time zone"),
        ({"digest": "daily"}, "has no recipient; add a webhook or an email"),
    ],
)
def test_invalid_receivers_are_rejected(searcher, by_mail, body, words):
    with pytest.raises(QueryError) as refused:
        subscribe(searcher, SubscribeBody.model_validate({"q": SENTENCE, "rank": 3} | body), by_mail)
    assert words in str(refused.value)


def test_without_a_mail_server_an_address_is_refused_with_the_settings_name(searcher, targets):
    with pytest.raises(QueryError, match="no mail server is configured; set BANDSIGHT_SMTP_URL"):
        subscribe(searcher, SubscribeBody.model_validate({"q": SENTENCE, "rank": 3, "email": ADDRESS}), targets)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"BANDSIGHT_SMTP_URL": "mail.example.org"}, "BANDSIGHT_SMTP_URL"),
        ({"BANDSIGHT_SMTP_URL": "smtp://mail.example.org"}, "BANDSIGHT_MAIL_FROM"),
        ({"BANDSIGHT_SMTP_URL": "smtps://mail.example.org", "BANDSIGHT_MAIL_FROM": ADDRESS}, "BANDSIGHT_MAIL_ALLOW"),
    ],
)
def test_incomplete_settings_are_named(settings, name):
    with pytest.raises(QueryError, match=f"^{name}: "):
        Mail.of_environment(settings)
