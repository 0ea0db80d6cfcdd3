"""The valid range of centre wavelengths, in µm."""

import math

# From ultraviolet, where the atmosphere becomes opaque, to far infrared. Radar bands use codes within this range (5.405
# for C band, the DOFA convention), because the models were not trained on true radar wavelengths.
MIN_UM, MAX_UM = 0.2, 300.0
# Larger values are not nanometres: no optical sensor reaches them, only radar.
_LONGEST_NM = 20_000.0


def wavelength_problem(value: float) -> str | None:
    """Return why a number is not a wavelength, phrased to follow the number; None if it is valid."""
    if MIN_UM <= value <= MAX_UM:
        return None
    if not math.isfinite(value) or value <= 0:
        return "is not a wavelength; need a positive number of µm"
    if value < MIN_UM:
        return f"is not a wavelength of light or heat; need {MIN_UM:g} to {MAX_UM:g} µm"
    if value <= _LONGEST_NM:
        return f"looks like nanometres; need µm, so divide by 1000 ({value / 1000:g})"
    return f"is not a wavelength of light or heat; need {MIN_UM:g} to {MAX_UM:g} µm, for radar the code 5.405"
