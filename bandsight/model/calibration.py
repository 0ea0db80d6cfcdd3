"""Calibration files: those of models, and the user's own; and the sentences of the background."""

import base64
import json
import math
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.scoring import FAMILIES, Calibration, Platt, Questions, TextEncoder

FILE = "calibration.json"
# Environment variable: folder of the user's own calibrations.
_FOLDER_VARIABLE = "BANDSIGHT_CALIBRATIONS"


def user_file(digest: str) -> Path:
    """Return the path of the user's own calibration of a model, named by the digest of its weights.

    The folder is `$BANDSIGHT_CALIBRATIONS`, or `bandsight/calibrations` in the user's data folder
    (`$XDG_DATA_HOME`, `~/.local/share`).
    """
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder:
        return Path(folder).expanduser() / f"{digest}.json"
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "bandsight" / "calibrations" / f"{digest}.json"


def read_calibration(folder: Path | None, digest: str) -> Calibration:
    """Return the calibration of a model: the one in its folder, overridden by the user's own for each family.

    Args:
        folder: The model folder, which may contain a calibration.json, or None.
        digest: Digest of the model's weights.

    Raises:
        ModelError: A file is not a valid calibration, or was fitted for other weights.
    """
    shipped = shipped_calibration(folder, digest)
    own = user_file(digest)
    advice = f"delete {own} and run bandsight calibrate again"
    fitted = _read(own, digest, advice)
    if not fitted.families or not shipped.families:
        return fitted if fitted.families else shipped
    if not _same(shipped.background, fitted.background):
        raise ModelError(f"{own}: fitted on scores with another background than the model's own calibration; {advice}")
    return Calibration(shipped.families | fitted.families, shipped.background)


def shipped_calibration(folder: Path | None, digest: str) -> Calibration:
    """Return the calibration in a model's folder, empty if there is none; see `read_calibration`."""
    return Calibration() if folder is None else _read(folder / FILE, digest, "download the model again")


def _same(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-4))


def _read(path: Path, digest: str, advice: str) -> Calibration:
    """Read a calibration file; empty if it does not exist.

    Ignores the entry `default` of earlier versions, which was not fitted on any imagery.
    """
    if not path.is_file():
        return Calibration()
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        families = {name: _platt(entry) for name, entry in document["families"].items() if name != "default"}
        fitted_for = document.get("model_digest")
        background = _mean(document.get("background"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a calibration ({error!r}); {advice}") from error
    if unknown := sorted(set(families) - set(FAMILIES)):
        raise ModelError(f"{path}: unknown families {unknown}; expected some of {list(FAMILIES)}")
    if fitted_for is not None and fitted_for != digest:
        raise ModelError(
            f"{path}: fitted for a model with other weights ({str(fitted_for)[:12]}, this one has {digest[:12]}); "
            "delete it and run bandsight calibrate for this model"
        )
    return Calibration(families, background)


def _mean(entry: dict[str, Any] | None) -> NDArray[np.float32] | None:
    if entry is None:
        return None
    mean = np.array(entry["mean"], np.float32)
    if mean.ndim != 1 or not np.isfinite(mean).all():
        raise ValueError(f"background of shape {mean.shape}: need a vector of finite numbers")
    return mean


def background_sentences() -> list[str]:
    """Return sentences about ordinary things seen from above."""
    text = Path(__file__).with_name("background.toml").read_text(encoding="utf-8")
    concepts: list[str] = tomllib.loads(text)["concepts"]
    return concepts


def background_mean(encoder: TextEncoder) -> NDArray[np.float32]:
    """Return the mean vector of the background sentences, shape (dim,)."""
    return np.asarray(encoder.embed_texts(background_sentences()).mean(axis=0), np.float32)


def background_entry(mean: NDArray[np.float32]) -> dict[str, Any]:
    """Return the entry `background` of calibration.json for a mean vector, shape (dim,)."""
    return {"mean": [round(float(value), 5) for value in mean]}


def _platt(entry: dict[str, Any]) -> Platt:
    threshold, gsd_m, asked = entry.get("threshold"), entry.get("gsd_m"), entry.get("questions")
    numbers = [float(entry["scale"]), float(entry["bias"]), *([] if threshold is None else [float(threshold)])]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{numbers}: scale, bias and threshold must be finite")
    if numbers[0] <= 0:
        raise ValueError(f"scale {numbers[0]}: must be above 0, or the probability falls as the score rises")
    if gsd_m is not None:
        low, high = (float(value) for value in gsd_m)
        if not 0 < low <= high < math.inf:
            raise ValueError(f"gsd_m {gsd_m}: need [smallest, largest], above 0")
        gsd_m = (low, high)
    return Platt(
        scale=numbers[0],
        bias=numbers[1],
        threshold=None if threshold is None else numbers[2],
        gsd_m=gsd_m,
        questions=None if asked is None else _questions(asked),
    )


def _questions(entry: dict[str, Any]) -> Questions:
    count, least = len(entry["sentences"]), float(entry["least_cosine"])
    numbers = np.frombuffer(base64.b64decode(entry["vectors"], validate=True), "<f2").astype(np.float32)
    vectors = numbers.reshape(count, -1)
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all() or not -1 <= least <= 1:
        raise ValueError(f"questions: need a vector of finite numbers for each sentence, and a cosine; found {least}")
    return Questions(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), least)


def questions_entry(sentences: Sequence[str], vectors: NDArray[np.float32], least_cosine: float) -> dict[str, Any]:
    """Return the entry `questions` of a family in calibration.json; see `Questions`.

    The vectors are stored as consecutive little-endian float16 values, base64-encoded.
    """
    encoded = base64.b64encode(vectors.astype("<f2").tobytes()).decode("ascii")
    return {"sentences": list(sentences), "least_cosine": round(least_cosine, 3), "vectors": encoded}
