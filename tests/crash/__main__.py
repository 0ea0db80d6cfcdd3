"""Kills a writer again and again, at every named step and at any instant, and looks at the archive after each kill.

Writers are forked, so that a kill costs no imports. Stopped runs go on where they were.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from bandsight.archive import archive_exists
from bandsight.archive import index_updater as extension
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import recall_tuning as tuning
from bandsight.vectors.local import store as faiss_store
from tests.crash.check import look
from tests.crash.forks import finish, fork
from tests.crash.operations import Operation, State, after, downgrade, perform, plan
from tests.crash.readers import readers_beside_a_writer
from tests.crash.steps import STEPS, arm
from tests.vectors.planning import always_by_index

# An archive is started anew now and then, so that making one is killed too.
_FRESH = 25
_AT_A_STEP = 0.6
_MEAN_S = 0.12


def main() -> int:
    """Run kills until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path(".cache/crash"), help="keeps the archive and the count")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--readers", type=float, default=0.0, help="seconds of readers beside a writer afterwards")
    args = parser.parse_args()
    # As small an archive as can be has an index and uses it.
    building.WORTH_IT, tuning.FEW, faiss_store.plan = 20, 0, always_by_index
    extension._MANY, extension._SHARE = 1, 0.0
    args.folder.mkdir(parents=True, exist_ok=True)
    notes = args.folder / "kills.json"
    done = json.loads(notes.read_text()) if notes.exists() else {"kills": 0, "state": {}, "where": {}}
    state: State = {int(number): version for number, version in done["state"].items()}
    where = Counter(done["where"])
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "little")
    rng = np.random.default_rng([seed, done["kills"]])
    path = args.folder / "archive"
    while done["kills"] < args.kills:
        if done["kills"] % _FRESH == 0:
            shutil.rmtree(path, ignore_errors=True)
            state = {}
        # The step that was killed least; only those that never were, once there are no more kills left than such steps.
        due = sum(not where[one] for one in STEPS) >= args.kills - done["kills"]
        at_a_step = due or rng.random() < _AT_A_STEP
        name = min(STEPS, key=lambda one: (where[one], rng.random())) if at_a_step else None
        state, killed = kill_once(path, state, name, rng)
        if killed:
            where[killed] += 1
            done = {"kills": done["kills"] + 1, "state": state, "where": dict(where)}
            notes.write_text(json.dumps(done))
    missed = [name for name in STEPS if not where[name]]
    print(json.dumps({"kills": done["kills"], "seed": seed, "never at": missed, "at": dict(where)}))  # noqa: T201
    if args.readers:
        print(json.dumps(readers_beside_a_writer(args.folder / "readers", args.readers)))  # noqa: T201
    if done["kills"] >= args.kills:
        notes.unlink(missing_ok=True)
    return 0


def kill_once(path: Path, state: State, name: str | None, rng: np.random.Generator) -> tuple[State, str | None]:
    """Let a writer work until it is killed; return what the archive holds, and where it was killed, if it was."""
    first = STEPS[name].kind if name else None
    if first == "upgrade" or (first is None and rng.random() < 0.1):
        if not archive_exists(path):
            return state, None
        first = "upgrade"
        downgrade(path)
    seed = int(rng.integers(2**32))
    child, inbox = fork(lambda outbox: _write(path, state, name, first, np.random.default_rng(seed), outbox))
    if name is None:
        time.sleep(float(rng.exponential(_MEAN_S)))
        os.kill(child, signal.SIGKILL)
    said, status = finish(child, inbox)
    killed = os.WIFSIGNALED(status)
    if not killed and os.WEXITSTATUS(status):
        sys.exit(f"the writer failed by itself (seed {seed}): see above")
    return look(path, _allowed(state, said)), (name or "any instant") if killed else None


def _write(
    path: Path, state: State, name: str | None, first: str | None, rng: np.random.Generator, outbox: int
) -> None:
    """Be the writer."""

    def say(what: str, operation: Operation) -> None:
        os.write(outbox, (json.dumps([what, operation]) + "\n").encode())

    if name is not None:
        arm(STEPS[name], int(rng.integers(1, 3)))
    perform(path, plan(state, rng, first), say)


def _allowed(state: State, said: str) -> list[State]:
    """Return what the archive may hold: all that was done, and perhaps what was under way."""
    allowed = [state]
    for line in said.splitlines():
        what, operation = json.loads(line)
        if what == "begin":
            allowed = [state, after(state, operation)]
        else:
            state = after(state, operation)
            allowed = [state]
    return allowed


if __name__ == "__main__":
    sys.exit(main())
