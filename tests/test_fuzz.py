"""The short form of `make fuzz`: inputs that failed once, and some random ones, for each decoder."""

import numpy as np
import pytest

from tests.fuzz.__main__ import CRASHES, attempt
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

RUNS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_nobody_meant_are_a_message_and_never_another_error(name: str) -> None:
    rng, seeds = np.random.default_rng(0), TARGETS[name].seeds()
    assert seeds
    for seed in seeds:
        attempt(name, seed)
    for _ in range(RUNS):
        attempt(name, mutated(seeds, rng))


@pytest.mark.parametrize("path", sorted(CRASHES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_inputs_that_failed_once_do_not_fail_again(path) -> None:
    attempt(path.parent.name, path.read_bytes())
