"""Real multi-band scenes without captions, which teach that a place is the same in any bands, and what infrared shows.

Labels come from spectral indices (NDWI for water, NDVI for vegetation, brightness for cloud), computed after
subtracting each band's darkest value, with thresholds chosen for each scene by eye; pixels were not labelled by hand.
"""

import json
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from bandsight.model.wavelengths import nearest_bands

# Mask values.
_OTHER, _WATER, _VEGETATION, _CLOUD, _NOTHING = 0, 1, 2, 3, 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """All bands of one scene on one grid, and the labels of its pixels."""

    name: str
    """Key in scenes.toml."""
    pixels: NDArray[np.uint8]
    """Bands stretched to 0..255, visible ones together, others separately, shape (bands, height, width)."""
    each_alone: NDArray[np.uint8]
    """Every band stretched separately, as another user might scale it, same shape."""
    wavelengths: NDArray[np.float32]
    """Centre wavelengths of the bands, µm, shape (bands,)."""
    rgb: tuple[int, int, int]
    """Positions of red, green and blue."""
    mask: NDArray[np.uint8]
    """Class of each pixel, shape (height, width)."""
    rules: dict[str, Any]
    """The scene's entry in scenes.toml."""

    def label(self, window: tuple[slice, slice]) -> str | None:
        """Return the label of vocabulary.toml for a window, or None if it is unclear.

        Args:
            window: Rows and columns.
        """
        mask = self.mask[window]
        water, green, cloud, nothing = (
            float((mask == value).mean()) for value in (_WATER, _VEGETATION, _CLOUD, _NOTHING)
        )
        names = self.rules["labels"]
        if nothing > 0.1:
            return None
        if cloud > 0.12:
            return "cloud" if cloud > 0.5 else "some_cloud"
        if water > 0.05:
            kind = "water" if water > 0.9 else "shore" if 0.15 < water < 0.8 else "unsure"
        else:
            kind = "vegetation" if green > 0.85 else "other" if green < 0.3 else "mixed"
        label: str | None = names.get(kind)
        return label


def read_stacks(folder: Path) -> list[Stack]:
    """Read the training scenes, without the parts that scenes.toml reserves for tests.

    Args:
        folder: `scenes/` of the training data.
    """
    rules = tomllib.loads((Path(__file__).parent / "scenes.toml").read_text(encoding="utf-8"))
    stacks: list[Stack] = []
    for name, rule in rules.items():
        for values in _read(folder, rule):
            keep = rule.get("columns", values.shape[2])
            stacks.append(make_stack(name, values[:, :, :keep], rule))
    return stacks


def make_stack(name: str, values: NDArray[np.float32], rules: dict[str, Any]) -> Stack:
    """Return a scene's stretched bands and its mask.

    Args:
        name: Key of the scene.
        values: Shape (bands, height, width), zero for no data.
        rules: `wavelengths`, thresholds `water` and `vegetation`, optionally `cloud` (0..255) and `empty` (the no-data
            value), and `labels`.
    """
    waves = np.asarray(rules["wavelengths"], np.float32)
    valid = (values > 0).all(axis=0) & (values != rules.get("empty", 0)).any(axis=0)
    rgb = nearest_bands(waves.tolist(), (0.66, 0.56, 0.485))
    visible = (waves > 0.44) & (waves < 0.70)
    each_alone = np.stack([_stretch(band, band[valid]) for band in values])
    together = np.stack(
        [_stretch(band, values[visible][:, valid] if visible[i] else band[valid]) for i, band in enumerate(values)]
    )
    mask = np.full(values.shape[1:], _OTHER, np.uint8)

    def above_dark(um: float) -> NDArray[np.float32]:
        band = values[nearest_bands(waves.tolist(), (um,))[0]]
        return np.asarray(band - np.percentile(band[valid], 0.3), np.float32)

    green, red, nir = above_dark(0.56), above_dark(0.66), above_dark(0.83)
    mask[_ratio(nir, red) > rules["vegetation"]] = _VEGETATION
    mask[_ratio(green, nir) > rules["water"]] = _WATER
    if "cloud" in rules:
        mask[together[rgb].min(axis=0) > rules["cloud"]] = _CLOUD
    mask[~valid] = _NOTHING
    return Stack(
        name=name,
        pixels=together,
        each_alone=each_alone,
        wavelengths=waves,
        rgb=(rgb[0], rgb[1], rgb[2]),
        mask=mask,
        rules=rules,
    )


def _ratio(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((a - b) / (np.abs(a) + np.abs(b) + 1e-3), np.float32)


def _stretch(band: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = np.percentile(source, (1, 99))
    return np.asarray(np.clip((band - low) / max(high - low, 1e-6) * 255, 0, 255), np.uint8)


def _read(folder: Path, rule: dict[str, Any]) -> list[NDArray[np.float32]]:
    """Return the arrays of an entry: one file, a file per band, several dates, or a package's sample data."""
    if rule.get("package") == "spyndex":
        spec = find_spec("spyndex")
        if spec is None or spec.origin is None:
            raise SystemExit("spyndex is not installed; pip install 'bandsight[training]'")
        sample = json.loads((Path(spec.origin).parent / "data" / "S2_10m.json").read_text())
        return [np.asarray(sample, np.float32)]
    if rule.get("format") == "matlab":
        return [_aviris(folder / rule["files"][0])]
    if rule.get("dates"):
        return [_bands([path]) for path in sorted(folder.glob(rule["files"][0]))]
    return [_bands([folder / file for file in rule["files"]])]


def _bands(paths: list[Path]) -> NDArray[np.float32]:
    bands = []
    for path in paths:
        with rasterio.open(path) as dataset:
            bands.append(dataset.read(out_dtype="float32"))
    return np.concatenate(bands)


def _aviris(path: Path) -> NDArray[np.float32]:
    from scipy.io import loadmat

    cube = loadmat(path)
    height, width = int(cube["lines"].item()), int(cube["cols"].item())
    # MATLAB stores columns first.
    return np.asarray(cube["Y"], np.float32).reshape(-1, width, height).transpose(0, 2, 1) + 1
