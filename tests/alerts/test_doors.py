"""Subscriptions and alerts through all interfaces: command line, API, and the clients of a folder and of a server."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bandsight.archive import Archive, ArchiveWriter
from bandsight.client.client import Client
from bandsight.errors import NotFoundError, QueryError
from tests.learning.makers import SENTENCE, dated
from tests.search_api.stac.conftest import app_of


def commit(path: Path, start: int = 300) -> None:
    with ArchiveWriter.open(path) as writer:
        writer.add([dated(range(start, start + 20), 0)])


def test_from_a_query_to_an_alert_on_the_command_line(bandsight, path, hook, tmp_path, monkeypatch):
    assert "no subscriptions yet" in bandsight("watch", "list")[1]
    code, _, err = bandsight("watch", "add", SENTENCE, "--webhook", hook.url)
    assert (code, "which is not a public address" in err) == (1, True)
    monkeypatch.setenv("BANDSIGHT_WEBHOOK_ALLOW", "127.0.0.1")
    code, out, err = bandsight(
        "watch", "add", SENTENCE, "--min-score", "0.3", "--webhook", hook.url, "--title", "ponds"
    )
    assert (code, "webhook secret, shown only once" in err) == (0, True)
    name = out.partition(":")[0]
    assert f"{name}: ponds, score at least 0.300" in bandsight("watch", "list")[1]
    assert bandsight("watch", "test", name)[1] == "delivered\n"
    assert bandsight("watch", "alerts")[1] == "no alerts yet\n"
    commit(path)
    assert "pending" in bandsight("watch", "alerts")[1]
    code, out, _ = bandsight("watch", "deliver")
    count = len(hook.events) - 1
    assert (code, out) == (0, f"{count} delivered, 0 to be retried, 0 given up\n")
    assert json.loads(bandsight("watch", "alerts", "--json")[1])["counts"] == {"delivered": count}
    assert bandsight("watch", "pause", name)[0] == 0
    assert ", paused" in bandsight("watch", "list")[1]
    assert bandsight("watch", "resume", name)[0] == 0
    assert bandsight("watch", "delete", name)[0] == 0
    code, _, err = bandsight("watch", "pause", name)
    assert (code, "not found" in err) == (1, True)


def test_a_client_watches(client: Client, path):
    made = client.watch(SENTENCE, min_score=0.3, title="ponds", collections="red")
    other = client.watch(positive=3, rank=2)
    assert [one["id"] for one in client.subscriptions()] == [other["id"], made["id"]]
    assert "secret" not in made
    assert client.pause(other["id"])["paused"] is True
    commit(path)
    alerts = client.alerts()
    assert {one["subscription"] for one in alerts} == {made["id"]}
    assert alerts == client.alerts(subscription=made["id"])
    assert client.alerts(1, before=alerts[0]["number"]) == alerts[1:2]
    client.unsubscribe(made["id"])
    assert client.alerts() == []
    with pytest.raises(NotFoundError, match="not found"):
        client.unsubscribe(made["id"])
    with pytest.raises(QueryError, match="is not a public address"):
        client.watch(SENTENCE, webhook="http://127.0.0.1/hook")


def test_feeds_list_the_newest_alerts(path):
    with Archive.open(path) as archive, TestClient(app_of(archive)) as http:
        assert http.get("/alerts/feed.json").json()["items"] == []
        made = http.post("/subscriptions", json={"q": SENTENCE, "min_score": 0.3, "title": "ponds & <lakes>"})
        assert made.status_code == 201
        commit(path)
        listed = http.get("/alerts").json()["alerts"]
        feed = http.get("/alerts/feed.json")
        assert feed.headers["content-type"] == "application/feed+json"
        assert [one["id"] for one in feed.json()["items"]] == [one["id"] for one in listed]
        root = ET.fromstring(http.get("/alerts/atom.xml").content)  # noqa: S314  (our own)
        atom = "{http://www.w3.org/2005/Atom}"
        assert [one.findtext(f"{atom}id") for one in root.iter(f"{atom}entry")] == [
            f"urn:bandsight:alert:{one['id']}" for one in listed
        ]
        assert root.find(f"{atom}entry").findtext(f"{atom}title").startswith("ponds & <lakes>: ")
        for method, route, body, status in (
            ("POST", "/subscriptions", {"title": "x"}, 400),
            ("POST", "/subscriptions", {"q": SENTENCE, "webhook": "http://localhost/"}, 400),
            ("GET", "/subscriptions/none", None, 404),
            ("POST", f"/subscriptions/{made.json()['id']}/test", None, 400),
            ("GET", "/alerts?limit=0", None, 400),
        ):
            assert http.request(method, route, json=body).status_code == status, route
