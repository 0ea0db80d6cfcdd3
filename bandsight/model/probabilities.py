"""Probabilities of matches: by a model's calibration, or by its own logit scale and bias."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.calibration import Calibration
from bandsight.model.imagery import ImageryLike


@dataclass(frozen=True, slots=True)
class Probabilities:
    """What the scores of one model mean."""

    model: str
    """Name of the model, for messages."""
    calibration: Calibration
    """By family of imagery."""
    logit_scale: float | None
    """The model's own, as a logarithm."""
    logit_bias: float | None
    """The model's own; None where it was not trained with one."""
    dim: int
    """Length of the model's vectors."""

    def __post_init__(self) -> None:
        background = self.calibration.background
        if background is not None and len(background) != self.dim:
            raise ModelError(
                f"model {self.model}: its calibration subtracts a background of {len(background)} numbers, and its "
                f"vectors have {self.dim}; run bandsight calibrate again"
            )

    def of(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32],
        imagery: Sequence[ImageryLike] | None = None,
    ) -> NDArray[np.float32]:
        """Return sigmoid(cosine × scale + bias), shape (images, texts), each prompt on its own; see `Encoder`."""
        cosines = np.asarray(image_vectors @ text_vectors.T, np.float32)
        if imagery is None:
            return self._own(cosines)
        out = np.full_like(cosines, np.nan)
        calibrations = [self.calibration.of(one) for one in imagery]
        for platt in {one for one in calibrations if one is not None}:
            rows = [row for row, other in enumerate(calibrations) if other == platt]
            out[rows] = platt.probability(cosines[rows])
        return out

    def threshold(self, imagery: ImageryLike) -> float | None:
        """Return the least probability of a match; None where it was not measured."""
        platt = self.calibration.of(imagery)
        return None if platt is None else platt.threshold

    def _own(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the logit scale and bias of the model itself give, which nothing has been fitted on."""
        if self.logit_bias is None or self.logit_scale is None:
            raise ModelError(
                f"model {self.model}: it has no logit bias (init_logit_bias in its config), so its scores are not "
                "probabilities; fit a calibration: bandsight calibrate DATA --model MODEL"
            )
        scale = np.exp(np.float32(self.logit_scale))
        return np.asarray(1 / (1 + np.exp(-(cosines * scale + np.float32(self.logit_bias)))), np.float32)
