"""Compiled blocks are used where they are faster and give the same vectors."""

import numpy as np
import pytest
import torch
from torch import nn

from bandsight.model import load_model
from bandsight.model.torch_compile import compile_if_faster
from tests.model.conftest import TINY

RGB_UM = (0.665, 0.56, 0.49)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 48, 48), np.uint8)


@pytest.fixture
def model():
    return load_model(f"local-dir:{TINY}", "cpu", check=False)


class Clock:
    """Each call is one tick. A compiled block makes ticks shorter or longer."""

    def __init__(self):
        self.now, self.tick = 0.0, 1.0

    def __call__(self):
        self.now += self.tick
        return self.now


class CompiledBlock(nn.Module):
    """Stands in for a compiled block."""

    def __init__(self, block, clock, tick, shift):
        super().__init__()
        self.block, self.clock, self.tick, self.shift = block, clock, tick, shift

    def forward(self, x):
        self.clock.tick = self.tick
        return self.block(x) + self.shift * torch.arange(x.shape[-1])


def compile_with(model, tick, shift=0.0):
    clock, trunk = Clock(), model._model.visual.trunk
    outcome = compile_if_faster(
        trunk,
        lambda: torch.from_numpy(model.embed_pixels(PIXELS, RGB_UM)),
        compiler=lambda block: CompiledBlock(block, clock, tick, shift),
        clock=clock,
    )
    return outcome, isinstance(trunk.blocks[0], CompiledBlock)


def test_faster_blocks_are_used(model):
    assert compile_with(model, 0.5) == ("torch.compile: on, 2.00 times as fast", True)


def test_blocks_that_are_no_faster_are_not_used(model):
    assert compile_with(model, 1.0) == ("torch.compile: off, no speed-up (1.00 times as fast)", False)


def test_blocks_that_give_other_vectors_are_not_used(model):
    assert compile_with(model, 0.5, shift=1.0) == ("torch.compile: off, the compiled blocks change the vectors", False)


def test_a_failing_compiler_leaves_the_plain_blocks(model):
    def broken(block):
        raise RuntimeError("no compiler\nat all")

    before = model.embed_pixels(PIXELS, RGB_UM)
    outcome = compile_if_faster(model._model.visual.trunk, lambda: torch.empty(0), compiler=broken)
    assert outcome == "torch.compile: off, it failed (RuntimeError: no compiler)"
    np.testing.assert_array_equal(model.embed_pixels(PIXELS, RGB_UM), before)


def test_other_architectures_and_devices_are_not_compiled(model):
    assert "not tried" in compile_if_faster(nn.Sequential(nn.ReLU()), lambda: torch.empty(0))
    assert model.speed_up(PIXELS, RGB_UM) is None


def test_compiled_blocks_take_batches_of_any_size(model):
    """Uses PyTorch's tracer without the code generator, which takes minutes."""
    before = model.embed_pixels(PIXELS, RGB_UM)
    outcome = compile_if_faster(
        model._model.visual.trunk,
        lambda: torch.from_numpy(model.embed_pixels(PIXELS, RGB_UM)),
        compiler=lambda block: torch.compile(block, dynamic=True, backend="eager"),
        clock=iter(np.cumsum([1.0] * 6 + [0.5] * 6)).__next__,
    )
    assert outcome.startswith("torch.compile: on")
    np.testing.assert_allclose(model.embed_pixels(PIXELS, RGB_UM), before, atol=1e-5)
    np.testing.assert_allclose(model.embed_pixels(PIXELS[:2], RGB_UM), before[:2], atol=1e-5)
