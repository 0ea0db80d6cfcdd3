"""Compiled blocks are kept where they are faster and say the same."""

import numpy as np
import pytest
import torch
from torch import nn

from bandsight.model import load_model
from bandsight.model.torch_compile import compile_where_it_pays
from tests.model.conftest import TINY

RGB_UM = (0.665, 0.56, 0.49)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 48, 48), np.uint8)


@pytest.fixture
def model():
    return load_model(f"local-dir:{TINY}", "cpu", check=False)


class Clock:
    """Each look at it is one tick; a compiled block makes ticks shorter or longer."""

    def __init__(self):
        self.now, self.tick = 0.0, 1.0

    def __call__(self):
        self.now += self.tick
        return self.now


class Quick(nn.Module):
    """A block that was compiled."""

    def __init__(self, block, clock, tick, shift):
        super().__init__()
        self.block, self.clock, self.tick, self.shift = block, clock, tick, shift

    def forward(self, x):
        self.clock.tick = self.tick
        return self.block(x) + self.shift * torch.arange(x.shape[-1])


def tried(model, tick, shift=0.0):
    clock, trunk = Clock(), model._model.visual.trunk
    said = compile_where_it_pays(
        trunk,
        lambda: torch.from_numpy(model.embed_pixels(PIXELS, RGB_UM)),
        compiler=lambda block: Quick(block, clock, tick, shift),
        clock=clock,
    )
    return said, isinstance(trunk.blocks[0], Quick)


def test_what_is_faster_is_kept(model):
    assert tried(model, 0.5) == ("torch.compile: on, 2.00 times as fast", True)


def test_what_is_not_faster_is_not_kept(model):
    assert tried(model, 1.0) == ("torch.compile: off, it pays not (1.00 times as fast)", False)


def test_what_says_something_else_is_not_kept(model):
    assert tried(model, 0.5, shift=1.0) == ("torch.compile: off, compiled blocks do not say the same", False)


def test_a_compiler_that_fails_leaves_everything_as_it_was(model):
    def broken(block):
        raise RuntimeError("no compiler\nat all")

    before = model.embed_pixels(PIXELS, RGB_UM)
    said = compile_where_it_pays(model._model.visual.trunk, lambda: torch.empty(0), compiler=broken)
    assert said == "torch.compile: off, it failed (RuntimeError: no compiler)"
    np.testing.assert_array_equal(model.embed_pixels(PIXELS, RGB_UM), before)


def test_other_towers_and_other_devices_are_left_alone(model):
    assert "not tried" in compile_where_it_pays(nn.Sequential(nn.ReLU()), lambda: torch.empty(0))
    assert model.speed_up(PIXELS, RGB_UM) is None


def test_compiled_blocks_take_batches_of_any_size(model):
    """PyTorch's own tracer, without the code generator behind it, which needs minutes."""
    before = model.embed_pixels(PIXELS, RGB_UM)
    said = compile_where_it_pays(
        model._model.visual.trunk,
        lambda: torch.from_numpy(model.embed_pixels(PIXELS, RGB_UM)),
        compiler=lambda block: torch.compile(block, dynamic=True, backend="eager"),
        clock=iter(np.cumsum([1.0] * 6 + [0.5] * 6)).__next__,
    )
    assert said.startswith("torch.compile: on")
    np.testing.assert_allclose(model.embed_pixels(PIXELS, RGB_UM), before, atol=1e-5)
    np.testing.assert_allclose(model.embed_pixels(PIXELS[:2], RGB_UM), before[:2], atol=1e-5)
