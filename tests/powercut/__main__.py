"""Cuts the power again and again: records writers, and looks at what cuts at any moment may leave of their work.

A replay that fails is named by its seed and number: `--seed S --only N` looks at it again. A
stopped run goes on where it was.
"""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.powercut.look import fingerprint, look
from tests.powercut.recorder import Player, record
from tests.powercut.work import EMPTY, Operation, State, small_indexes, then

# Replays of one record.
_EACH = 250


def main() -> int:
    """Run replays until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replays", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=Path(".cache/powercut"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, default=None, help="only this replay of the seed's record")
    args = parser.parse_args()
    small_indexes()
    if args.only is not None:
        replay(args.folder, args.seed, _EACH, args.only)
        return 0
    notes = args.folder.with_name(f"{args.folder.name}.json")
    fresh = {"seed": args.seed, "records": 0, "seconds": 0, "how": {}}
    done = json.loads(notes.read_text()) if notes.exists() else fresh
    how = Counter[str](done["how"])
    while (left := args.replays - (how.total() - how["looked at"])) > 0:
        began = time.monotonic()
        how += replay(args.folder, done["seed"] + done["records"], min(_EACH, left))
        done |= {"records": done["records"] + 1, "seconds": done["seconds"] + round(time.monotonic() - began)}
        notes.write_text(json.dumps(done | {"how": dict(how)}))
        print(f"{how.total() - how['looked at']} of {args.replays} replays", file=sys.stderr)  # noqa: T201
    looked = how.pop("looked at")
    facts = {"replays": how.total(), "different": looked, "lost": dict(how)}
    print(json.dumps(facts | {name: done[name] for name in ("seed", "records", "seconds")}))  # noqa: T201
    notes.unlink()
    return 0


def replay(folder: Path, seed: int, count: int, only: int | None = None) -> Counter[str]:
    """Record one writer and look at what so many power cuts may leave; return how often what was lost, and looked at.

    Raises:
        AssertionError: Something that was reported as done is gone, or something is half there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    root, acks, log = folder / "root", folder / "acks", folder / "log"
    root.mkdir(parents=True)
    root, acks = root.resolve(), acks.resolve()
    work = [sys.executable, "-W", "ignore", "-m", "tests.powercut.work", str(root), str(acks), str(seed)]
    record(work, log, {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"})
    total = sum(1 for _ in Player(log, root, acks).steps())
    rng = np.random.default_rng([seed, count])
    moments = Counter(np.sort(rng.integers(0, total, count)).tolist())
    player, told, how, number, seen = Player(log, root, acks), "", Counter[str](), 0, set[str]()
    for moment, line in enumerate(player.steps()):
        told += line or ""
        for _ in range(moments[moment]):
            own = np.random.default_rng([seed, number])
            if only in {None, number}:
                shutil.rmtree(folder / "cut", ignore_errors=True)
                lost = player.disk.after_a_cut(own, folder / "cut")
                how[lost] += 1
                allowed, read_first = _allowed(told), bool(own.random() < 0.5)
                state = fingerprint(folder / "cut") + json.dumps([allowed, read_first])
                number += 1
                if state in seen:
                    continue
                seen.add(state)
                how["looked at"] += 1
                try:
                    look(folder / "cut", *allowed, read_first=read_first)
                except Exception as error:
                    last = told.splitlines()[-2:]
                    raise AssertionError(
                        f"seed {seed}, replay {number - 1}, step {moment} of {total}, lost: {lost}, after {last}"
                    ) from error
            else:
                number += 1
    return how


def _allowed(told: str) -> tuple[list[State], Operation | None, bool]:
    """Return what there may be, the scene whose parts are on their way, and whether the archive was made."""
    state, doing, parts, created = EMPTY, None, None, False
    for line in told.splitlines():
        what, operation = json.loads(line)
        if what == "begin":
            doing = operation
        elif what == "part":
            parts, state = operation, then(state, operation)
        else:
            state, doing, parts = then(state, operation), None, None
            created = True
    return [state] if doing is None else [state, then(state, doing)], parts, created


if __name__ == "__main__":
    sys.exit(main())
