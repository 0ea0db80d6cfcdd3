"""Kills an indexer and two servers again and again while they commit scenes and deliver alerts.

Servers deliver by themselves, like two workers. The receiver refuses some messages and drops some connections. In the
end every alert must have arrived, and messages that arrived twice must have the same id. The short form is a test.

python -W ignore -m tests.alerts.kills --kills 500
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from bandsight.alerts.delivery import deliver_due, utc_now
from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import ALLOW_VARIABLE, Targets
from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.alerts import alert_id
from bandsight.attributes.filters import Filter
from bandsight.search.searcher import Searcher
from search_api import alert_delivery
from search_api.app import create_app
from search_api.server import Server, ServerConfig
from search_api.service import Service
from search_api.settings import ApiSettings
from tests.alerts.receiver import Receiver, receiver
from tests.crash.forks import fork
from tests.fakes import FakeEmbedder
from tests.learning.makers import SENTENCE, dated, pond_archive

_FIRST, _TILES = 1000, 5
_MEAN_S = 0.6
_PAUSE_S = 0.02


def main() -> int:
    """Run the kills and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "little")
    with tempfile.TemporaryDirectory() as folder:
        pond_archive(Path(folder) / "archive", places=50).close()
        found = killed(Path(folder) / "archive", args.kills, seed)
    print(json.dumps({"seed": seed} | found, indent=1))  # noqa: T201
    return 0 if found["missing"] == found["invented"] == 0 else 1


def killed(path: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill an indexer and two servers, let the rest be delivered, and compare what was sent with what was received.

    Args:
        path: An archive to write to.
        kills: Number of kills.
        seed: Seed of the random numbers.
    """
    rng = random.Random(seed)  # noqa: S311  (no secret)
    os.environ[ALLOW_VARIABLE] = "127.0.0.1"
    targets = Targets(allowed=("127.0.0.1",))
    with receiver() as hook, Archive.open(path) as archive:
        body = {"q": SENTENCE, "min_score": -1, "webhook": hook.url, "per_place": False}
        made = subscribe(Searcher(archive, FakeEmbedder), SubscribeBody.model_validate(body), targets)
        hook.unreliable = random.Random(seed + 1)  # noqa: S311
        counts = _kill(path, hook, kills, rng)
        hook.unreliable = None
        # Leases of killed servers and waits after failures are over by then.
        later = utc_now() + timedelta(days=1)
        while deliver_due(archive, targets, now=lambda: later).delivered:
            pass
        alerts = archive.alerts.newest(10**6, subscription_id=made.id)
        expected = _expected(path, made.id)
    recorded, received = {one.id for one in alerts}, Counter(hook.ids)
    return {
        "kills": dict(counts),
        "alerts": len(alerts),
        "undelivered": sum(one.state != "delivered" for one in alerts),
        "missing": len((expected | recorded) - set(received)),
        # An alert stays when its scene is removed, so it need not have a tile.
        "invented": len(set(received) - recorded),
        "received_twice": sum(count > 1 for count in received.values()),
    }


def _expected(path: Path, subscription: str) -> set[str]:
    """Return the ids of the alerts that the committed tiles must have raised."""
    with ArchiveWriter.open(path) as writer:
        tiles = writer.tiles_by_id(writer.tile_ids(Filter()).tolist()).values()
        scenes = writer.scenes_by_id(sorted({tile.scene_id for tile in tiles}))
        return {
            alert_id(subscription, scenes[tile.scene_id], tile)
            for tile in tiles
            if int(tile.cell.removeprefix("cell/")) >= _FIRST
        }


def _kill(path: Path, hook: Receiver, kills: int, rng: random.Random) -> Counter[str]:
    life = 0
    children: dict[str, tuple[int, int]] = {}
    counts: Counter[str] = Counter()
    try:
        while counts.total() < kills:
            for name in ("indexer", "server 1", "server 2"):
                if name in children:
                    continue
                if name == "indexer":
                    life += 1
                    children[name] = fork(lambda _, date=life: _index(path, date))
                else:
                    children[name] = fork(lambda _: _serve(path))
            name = rng.choice(sorted(children))
            time.sleep(min(rng.expovariate(1 / _MEAN_S), 5 * _MEAN_S))
            _end(children.pop(name))
            counts[name.split()[0]] += 1
        received = len(hook.ids)
        while len(hook.ids) == received and "server 1" in children:
            time.sleep(0.05)
    finally:
        for child in children.values():
            _end(child)
    return counts


def _end(child: tuple[int, int]) -> None:
    process, inbox = child
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(inbox)
    if not os.WIFSIGNALED(status):
        sys.exit("a process failed by itself: see above")


def _index(path: Path, date: int) -> None:
    """Commit scenes of a date that no other indexer has, until killed."""
    with ArchiveWriter.open(path) as writer:
        for number, start in enumerate(range(_FIRST, 2 * _FIRST, _TILES)):
            record = dated(range(start, start + _TILES), date)
            writer.add([record])
            if number % 7 == 0:
                # Replaced within seconds: the same content raises no second alert.
                writer.remove([record[0].href])
                writer.add([record])
            time.sleep(_PAUSE_S)
    time.sleep(3600)


def _serve(path: Path) -> None:
    alert_delivery._LOOK_S = 0.05
    settings = ApiSettings(archive=path, port=0)
    app = create_app(settings, Service(settings, Archive.open(path), FakeEmbedder()))
    Server(ServerConfig(app, settings)).run()


if __name__ == "__main__":
    sys.exit(main())
