"""The short form of `make test-crash`: a writer killed at each step and at some instants; readers beside a writer."""

import json

from tests.commands import run_module
from tests.crash.steps import STEPS


def run(*arguments: str) -> list[dict]:
    job = run_module("tests.crash", *arguments)
    assert job.returncode == 0, job.stderr[-4000:]
    return [json.loads(line) for line in job.stdout.splitlines()]


def test_killing_a_writer_at_any_step_neither_loses_nor_half_writes_anything(tmp_path):
    kills = 2 * len(STEPS)
    result, readers = run("--kills", str(kills), "--folder", str(tmp_path), "--readers", "6")
    assert result["kills"] == kills
    assert result["never at"] == []
    assert result["at"]["any instant"] > 0
    assert readers["searches"] >= 3
    assert readers["generations"] >= 2
    assert readers["commits"] >= 1
