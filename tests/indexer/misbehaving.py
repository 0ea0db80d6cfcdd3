"""Readers that do to their process what a broken codec does; they are named by the scenes that they meet."""

import ctypes
import time
from pathlib import Path
from typing import Any

from indexer import reader


def read_tiles(scene: Any, windows: Any, **options: Any) -> list[reader.ReadTile]:
    name = scene.record.name
    if "crash" in name:
        ctypes.string_at(0)
    if "hang" in name:
        time.sleep(600)
    if "hungry" in name:
        bytearray(8 << 30)
    if "odd" in name:
        raise RuntimeError("as no one foresaw")
    if "curious" in name:
        with Path(name.split("curious=")[1].removesuffix(".tif").replace("|", "/")).open("rb") as secret:
            raise ValueError(f"read {secret.read()!r}")
    return reader.read_tiles(scene, windows, **options)
