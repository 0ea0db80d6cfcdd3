"""Fuzzes every decoder for a while: `python -m tests.fuzz --seconds 600` gives each of them ten minutes.

Guided by coverage where Atheris can be imported (`make fuzz` brings it), else by chance. Inputs that reached new code
are kept in .cache/fuzz, so that the next run goes on from them. An input that fails is written to
tests/fuzz/crashes/TARGET, where tests/test_fuzz.py tries it from then on.
"""

import argparse
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

CRASHES = Path(__file__).parent / "crashes"
_MOST_BYTES = 1 << 14


def main() -> int:
    """Fuzz the targets one after another, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", action="append", help="only this one; repeatable")
    parser.add_argument("--folder", type=Path, default=Path(".cache/fuzz"))
    parser.add_argument("--here", action="store_true", help="in this process, one target")
    args = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None
    if args.here:
        (fuzz_guided if guided else fuzz_by_chance)(args.target[0], args.seconds, args.folder)
        return 0
    from tests.fuzz.targets import TARGETS

    chosen = args.target or list(TARGETS)
    facts: dict[str, object] = {"guided": guided, "seconds each": args.seconds}
    failed = []
    for name in chosen:
        command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz", "--here", "--target", name]
        command += ["--seconds", str(args.seconds), "--folder", str(args.folder)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        runs = re.findall(r"(?:stat::number_of_executed_units:|Done|#)\s*(\d+)", done.stderr)
        facts[name] = max(map(int, runs), default=0)
        if done.returncode:
            failed.append(name)
            print(f"{name}: {done.stderr[-3000:]}", file=sys.stderr)  # noqa: T201
    print(json.dumps(facts | {"failed": failed}))  # noqa: T201
    return 1 if failed else 0


def attempt(name: str, data: bytes) -> None:
    """Run a target; only what is no message to the user gets out."""
    from bandsight.errors import BandsightError
    from tests.fuzz.targets import TARGETS

    with suppress(BandsightError):
        TARGETS[name].run(data)


def fuzz_guided(name: str, seconds: int, folder: Path) -> None:
    """Fuzz with Atheris, which ends the process."""
    import atheris

    # Instrumented as they are imported; everything else would take minutes.
    with atheris.instrument_imports(include=["bandsight", "indexer", "search_api"]):
        from tests.fuzz.targets import TARGETS

    corpus, crashes = folder / name, CRASHES / name
    for place in (corpus, crashes):
        place.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name].seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}", "-timeout=20", "-rss_limit_mb=4096"]
    options += ["-print_final_stats=1", f"-artifact_prefix={crashes}/", str(corpus)]
    atheris.Setup(["fuzz", *options], lambda data: attempt(name, data))
    atheris.Fuzz()


def fuzz_by_chance(name: str, seconds: int, _: Path) -> None:
    """Fuzz valid inputs with random changes."""
    from tests.fuzz.mutate import mutated
    from tests.fuzz.targets import TARGETS

    rng, end, number = np.random.default_rng(), time.monotonic() + seconds, 0
    seeds = TARGETS[name].seeds()
    while time.monotonic() < end:
        data = mutated(seeds, rng)
        number += 1
        try:
            attempt(name, data)
        except Exception:
            (CRASHES / name).mkdir(parents=True, exist_ok=True)
            (CRASHES / name / f"crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)  # noqa: S324  (a name)
            raise
    print(f"Done {number} runs", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
