"""Clients that verify the responses."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_S = 60
_CLEAR = (429, 503)
_REQUESTS = ("list", "search", "save", "read saved", "status", "picture")


@dataclass
class Findings:
    """What all clients saw; safe to share between threads."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    saved: dict[str, float] = field(default_factory=dict)
    """Ids of searches that the server reported as saved, and when it was asked to."""
    tiles: dict[str, int] = field(default_factory=dict)
    """Tiles of each scene, as the first list with it has them."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, wrong: str | None = None) -> None:
        with self.lock:
            self.answers[what] += 1
            if wrong is not None:
                self.wrong.append(wrong)


class Client(threading.Thread):
    """Asks one thing after another until it is told to stop."""

    def __init__(self, url: str, seed: int, findings: Findings, over: threading.Event) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self._url, self._random, self._findings, self._over = url, random.Random(seed), findings, over

    def run(self) -> None:
        while not self._over.is_set():
            kind = self._random.choice(_REQUESTS)
            try:
                what, wrong = self._ask(kind)
                self._findings.count(what, wrong)
                if what.endswith(": 503"):
                    self._over.wait(1.0)
            except (OSError, ValueError, json.JSONDecodeError) as error:
                # No worker is listening, or the one that was answering was killed: try again.
                self._findings.count("no connection" if isinstance(error, OSError) else "broken off")
                time.sleep(0.2)

    def _ask(self, kind: str) -> tuple[str, str | None]:
        began = time.monotonic()
        path, body = self._request(kind)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            return self._problem(kind, error)
        if kind == "picture":
            return "picture", None if content[:4] == b"\x89PNG" else f"{path}: no PNG"
        found = json.loads(content)
        if kind == "save":
            with self._findings.lock:
                self._findings.saved[found["id"]] = began
        return kind, self._flaw(kind, found)

    def _request(self, kind: str) -> tuple[str, dict[str, Any] | None]:
        match kind:
            case "list":
                return "search?limit=1000", None
            case "search":
                return f"search?q=a%20pond%20{self._random.randrange(20)}&limit=50", None
            case "save":
                return "searches", {"q": f"a field {self._random.randrange(20)}", "hits": 20}
            case "read saved":
                return "searches?limit=10", None
            case "picture":
                return "imagery/tiles/8/133/85.png", None
            case _:
                return self._random.choice(["jobs", "version", "overview", "collections"]), None

    def _flaw(self, kind: str, found: dict[str, Any]) -> str | None:
        """Return what is wrong with an answer."""
        if kind not in {"list", "search"}:
            return None
        scores = [item["properties"].get("bandsight:score", 0) for item in found["features"]]
        if scores != sorted(scores, reverse=True):
            return "search: not in the order of scores"
        tiles = Counter(
            item["properties"]["bandsight:scene"]
            for item in found["features"]
            if "bandsight:scene" in item["properties"]
        )
        if kind != "list":
            return None
        with self._findings.lock:
            known = {scene: self._findings.tiles.setdefault(scene, count) for scene, count in tiles.items()}
        parts = {scene: (known[scene], count) for scene, count in tiles.items() if count != known[scene]}
        return f"list: scenes with some of their tiles: {parts}" if parts else None

    def _problem(self, kind: str, error: urllib.error.HTTPError) -> tuple[str, str | None]:
        """Return how a problem counts: a clear one says when to come back."""
        problem = json.loads(error.read())
        name = f"{kind}: {error.code}"
        if error.code in _CLEAR and error.headers.get("Retry-After") and problem.get("detail"):
            return name, None
        return name, f"{name}, Retry-After {error.headers.get('Retry-After')}: {problem.get('detail')}"
