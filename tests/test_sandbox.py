"""A confined process can read its own code, wherever it is, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# As with an editable install: a finder knows where the packages are, and `sys.path` does not.
EDITABLE = f"""
import importlib.util, os, sys
from pathlib import Path

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = Path({str(ROOT)!r}, name)
        first = folder / "__init__.py"
        if not first.exists():
            return None
        return importlib.util.spec_from_file_location(name, first, submodule_search_locations=[str(folder)])

os.chdir(sys.prefix)
sys.path[:] = [entry for entry in sys.path if entry and Path(entry) != Path({str(ROOT)!r})]
sys.meta_path.insert(0, Finder)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-c", EDITABLE + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Landlock")
def test_packages_of_an_editable_install_stay_readable_and_the_folder_around_them_does_not() -> None:
    found = run(f"""
from bandsight.raster.sandbox import read_only
if not read_only(()):
    sys.exit(print("no Landlock"))
assert "bandsight.raster.masks" not in sys.modules
import bandsight.raster.masks
try:
    open({str(ROOT / "pyproject.toml")!r})
except PermissionError:
    print("confined")
""")
    if found == "no Landlock":
        pytest.skip("this system has no Landlock")
    assert found == "confined"


def test_everything_needed_for_decoding_is_imported_before_confinement() -> None:
    names = run("""
import search_api.decoder_process
before = set(sys.modules)
import io
import numpy as np
from PIL import Image
from rasterio import Affine
from rasterio.io import MemoryFile
from bandsight.query_image import decode_query_image

picture = io.BytesIO()
Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture, "PNG")
decode_query_image(picture.getvalue())
for kind, step in (("uint8", 10), ("uint16", -10), ("float32", 10)):
    with MemoryFile() as memory:
        options = {"crs": "EPSG:32633", "transform": Affine(10, 0, 0, 0, step, 0), "nodata": 0}
        with memory.open(driver="GTiff", width=8, height=8, count=3, dtype=kind, **options) as dataset:
            dataset.write(np.arange(192).reshape(3, 8, 8).astype(kind))
        decode_query_image(memory.read())
print(*(name for name in set(sys.modules) - before if name.startswith(("bandsight", "search_api"))))
""")
    assert names == ""
