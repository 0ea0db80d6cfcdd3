import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

TINY = Path(__file__).parents[1] / "fixtures" / "dofa_tiny"
WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the tiny model's folder that tests may modify."""
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def change(tiny: Path) -> Callable[[Callable[[dict[str, Tensor]], dict[str, Tensor]]], str]:
    """Return a function that edits the weights of the copy and returns its model source."""

    def rewrite(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> str:
        save_file(edit(load_file(tiny / WEIGHTS)), tiny / WEIGHTS)
        return f"local-dir:{tiny}"

    return rewrite


@pytest.fixture
def configure(tiny: Path) -> Callable[[Callable[[dict[str, Any]], object]], str]:
    """Return a function that edits the config of the copy and returns its model source."""

    def rewrite(edit: Callable[[dict[str, Any]], object]) -> str:
        config = json.loads((tiny / CONFIG).read_text())
        edit(config)
        (tiny / CONFIG).write_text(json.dumps(config))
        return f"local-dir:{tiny}"

    return rewrite
