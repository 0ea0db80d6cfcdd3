"""Which numbers can be the centre wavelength of a band, µm."""

import math

# From ultraviolet, where the air lets nothing through, to far infrared. Radar has codes within this range, 5.405 for
# the C band (the DOFA convention): the models do not know its true wavelengths.
MIN_UM, MAX_UM = 0.2, 300.0
# No sensor has longer ones in nanometres; longer waves are radar's.
_LONGEST_NM = 20_000.0


def wavelength_problem(value: float) -> str | None:
    """Return what is wrong with a number as a wavelength, in words that follow the number; None for a wavelength."""
    if MIN_UM <= value <= MAX_UM:
        return None
    if not math.isfinite(value) or value <= 0:
        return "is not a wavelength; need a positive number of µm"
    if value < MIN_UM:
        return f"is not a wavelength of light or heat; need {MIN_UM:g} to {MAX_UM:g} µm"
    if value <= _LONGEST_NM:
        return f"looks like nanometres; need µm, so divide by 1000 ({value / 1000:g})"
    return f"is not a wavelength of light or heat; need {MIN_UM:g} to {MAX_UM:g} µm, for radar the code 5.405"
