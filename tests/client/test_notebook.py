"""docs/client.ipynb runs from top to bottom, with a small archive and the embedded model; its outputs stay small."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.model import load_model
from indexer.pipeline import index
from tests.rasters import picture, write

NOTEBOOK = Path(__file__).parents[2] / "docs" / "client.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs(tmp_path: Path) -> None:
    for place, origin in enumerate([(400_000.0, 5_800_000.0), (420_000.0, 5_800_000.0)]):
        bands = picture(3, 256, 384, seed=place)
        write(tmp_path / "scenes" / f"photo_2020050{place + 1}.tif", bands, origin=origin)
    # The notebook shows the heat map of one collection of the demo.
    bands = picture(13, 256, 256, seed=5, dtype="uint16") * 20
    write(tmp_path / "scenes" / "S2A_MSIL1C_20200505T101031_N0209_R022_T33UUU_20200505T121212.tif", bands)
    model = load_model("embedded")
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    with ArchiveWriter.create(tmp_path / "archive", identity) as archive:
        summary = index([tmp_path / "scenes"], archive=archive, model=model)
        assert not summary.failed
        assert "sentinel-2-l1c" in archive.scene_columns().collection_names()
    script = tmp_path / "cells.py"
    # What a cell shows is computed, too.
    script.write_text("\n\n".join("".join(cell["source"]) for cell in CELLS))
    environment = {**os.environ, "BANDSIGHT_ARCHIVE": str(tmp_path / "archive")}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 6
    assert (tmp_path / "fields.parquet").stat().st_size > 1000


def test_its_outputs_are_present_and_small() -> None:
    assert NOTEBOOK.stat().st_size < 60_000
    assert all(cell["outputs"] for cell in CELLS[:-1] if not "".join(cell["source"]).startswith("import"))
    said = json.dumps([cell["outputs"] for cell in CELLS])
    assert "Traceback" not in said
    assert "site-packages" not in said
