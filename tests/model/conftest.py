import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

TINY = Path(__file__).parents[1] / "fixtures" / "dofa_tiny"
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the tiny model's folder, to be spoilt."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def change(tiny: Path) -> Callable[[Callable[[dict[str, Tensor]], dict[str, Tensor]]], str]:
    """Return a function that rewrites the copy's weights and gives the copy's source name."""

    def rewrite(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> str:
        save_file(edit(load_file(tiny / WEIGHTS)), tiny / WEIGHTS)
        return f"local-dir:{tiny}"

    return rewrite
