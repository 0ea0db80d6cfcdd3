"""Match probabilities, from a model's calibration or its logit scale and bias."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import ModelError
from bandsight.model.calibration import Calibration, Platt
from bandsight.model.imagery import ImageryLike


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Converts the scores of a model to probabilities."""

    model: str
    """Name of the model, for messages."""
    calibration: Calibration
    """Calibration by family of imagery."""
    logit_scale: float | None
    """Logarithm of the model's logit scale."""
    logit_bias: float | None
    """The model's logit bias; None if trained without one."""
    dim: int
    """Length of the model's vectors."""

    def __post_init__(self) -> None:
        background = self.calibration.background
        if background is not None and len(background) != self.dim:
            raise ModelError(
                f"model {self.model}: its calibration has a background vector of length {len(background)}, but its "
                f"vectors have length {self.dim}; run bandsight calibrate again"
            )

    def of(
        self,
        cosines: NDArray[np.float32],
        texts: NDArray[np.float32],
        imagery: Sequence[ImageryLike],
    ) -> NDArray[np.float32]:
        """Return the probability that each image shows what each sentence describes, shape (images, sentences).

        NaN where the model is not calibrated for the imagery or for this kind of sentence about it.

        Args:
            cosines: Cosines between images and sentences, shape (images, sentences).
            texts: Unit vectors of the sentences as searches use them, shape (sentences, dim).
            imagery: Imagery of each image.
        """
        out = np.full_like(cosines, np.nan, np.float32)
        calibrations = [self.calibration.of(one) for one in imagery]
        for platt in {id(one): one for one in calibrations if one is not None}.values():
            rows = np.array([other is platt for other in calibrations])
            covered = np.ones(len(texts), np.bool_) if platt.questions is None else platt.questions.cover(texts)
            out[rows] = np.where(covered, platt.probability(cosines[rows]), np.nan)
        return out

    def reason(self, imagery: ImageryLike, text: NDArray[np.float32] | None = None) -> str | None:
        """Return why there is no probability, or None if there is one; see `Calibration.reason`."""
        return self.calibration.reason(imagery, text)

    def families(self, text: NDArray[np.float32]) -> dict[str, Platt]:
        """Return the calibrations that are valid for a sentence, by family of imagery.

        Args:
            text: Unit vector of the sentence as searches use it, shape (dim,).
        """
        return {
            name: platt
            for name, platt in self.calibration.families.items()
            if platt.questions is None or platt.questions.cover(text[None])[0]
        }

    def threshold(self, imagery: ImageryLike) -> float | None:
        """Return the minimum probability of a match, or None if not measured."""
        platt = self.calibration.of(imagery)
        return None if platt is None else platt.threshold

    def own(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return uncalibrated probabilities, from the model's logit scale and bias.

        Raises:
            ModelError: The model has no logit bias.
        """
        if self.logit_bias is None or self.logit_scale is None:
            raise ModelError(
                f"model {self.model}: no logit bias (init_logit_bias in the config), so its scores are not "
                "probabilities; fit a calibration: bandsight calibrate DATA --model MODEL"
            )
        scale = np.exp(np.float32(self.logit_scale))
        return np.asarray(1 / (1 + np.exp(-(cosines * scale + np.float32(self.logit_bias)))), np.float32)
