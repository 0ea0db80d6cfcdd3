"""Counts the modules and functions of Bandsight that run for one text query, from the request to GeoJSON.

The archive is small and synthetic; the model is the embedded one. Functions that run only for the first query, or also
for a request of /conformance, do not count.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import bandsight
import indexer
import search_api
from bandsight.client import connect
from bench.api_archive import fill

_ROOTS = [Path(package.__file__ or "").parent for package in (bandsight, indexer, search_api)]
_TEXT = "a river beside fields"
_LIMIT, _REPEATS = 10, 5


class Passed:
    """Records every function of Bandsight that runs while it watches, in any thread."""

    def __init__(self) -> None:
        self._watching = False
        self._functions: set[tuple[str, str]] = set()
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch until the block ends."""
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def take(self) -> set[tuple[str, str]]:
        """Return the recorded functions as (file, name), and clear the record."""
        found, self._functions = self._functions, set()
        return found

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not self._watching or frame.f_code.co_name.startswith("<"):
            return
        path = Path(frame.f_code.co_filename)
        for root in _ROOTS:
            if path.is_relative_to(root):
                self._functions.add((str(path.relative_to(root.parent)), frame.f_code.co_qualname))


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/query-path.json"))
    args = parser.parse_args()
    passed = Passed()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        fill(archive, 1200)
        results = {}
        with _api(archive) as (ask, idle):
            results["api"] = _measured(passed, ask, idle)
        results["command_line"] = _measured(passed, _command_line(archive))
        results["local_client"] = _measured(passed, _local_client(archive))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    for name, one in results.items():
        print(f"{name}: {one['modules']} modules, {one['functions']} functions")


def _measured(passed: Passed, ask: Callable[[], object], idle: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Return the numbers of modules and functions that run for a query, and the functions of each module.

    Args:
        passed: Records functions.
        ask: Runs one query.
        idle: Runs everything that is not part of a query; its functions are left out.
    """
    for call in (ask, ask, idle, idle):
        call()
    with passed.watch():
        idle()
    common = passed.take()
    queries = []
    for _ in range(_REPEATS):
        with passed.watch():
            ask()
        queries.append(passed.take())
    modules: dict[str, list[str]] = {}
    # Functions of timers run during some queries only.
    for file, name in sorted(set.intersection(*queries) - common):
        modules.setdefault(file, []).append(name)
    return {"modules": len(modules), "functions": sum(map(len, modules.values())), "functions_of": modules}


@contextlib.contextmanager
def _api(archive: Path) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    from starlette.testclient import TestClient

    from search_api.app import create_app
    from search_api.settings import ApiSettings

    with TestClient(
        create_app(ApiSettings(archive=archive, deliver_alerts=False)), base_url="http://localhost"
    ) as client:

        def ask() -> None:
            response = client.get("/search", params={"q": _TEXT, "limit": _LIMIT})
            assert len(response.json()["features"]) == _LIMIT

        yield ask, lambda: client.get("/conformance")


def _command_line(archive: Path) -> Callable[[], object]:
    from bandsight.cli import main as run

    def ask() -> None:
        sys.argv = ["bandsight", "search", _TEXT, "--archive", str(archive), "--json", "--top", str(_LIMIT)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            run()
        assert len(json.loads(out.getvalue())["features"]) == _LIMIT

    return ask


def _local_client(archive: Path) -> Callable[[], object]:
    client = connect(archive)

    def ask() -> None:
        assert len(list(client.search(_TEXT, limit=_LIMIT))) == _LIMIT

    return ask


if __name__ == "__main__":
    main()
