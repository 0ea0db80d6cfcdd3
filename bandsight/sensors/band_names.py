"""Names of bands as files write them: B2 for B02, R for red, Gamma0_VV for VV."""

import re
from collections.abc import Iterable, Sequence

from bandsight.sensors.profile import Band

_NUMBERED = re.compile(r"(?:band|b)[ _-]?0*(\d{1,2}a?)(?![0-9a-z])", re.IGNORECASE)
_POLARISATION = re.compile(r"(?<![A-Za-z0-9])(VV|VH|HH|HV)(?![A-Za-z0-9])", re.IGNORECASE)
_HEIGHT = re.compile(r"(?<![a-z])(?:elevation|height|altitude|bathymetry|dem|dsm|dtm)(?![a-z])", re.IGNORECASE)
# What services put behind the name of a band: NASA's AppEEARS the day of the year and its request, Copernicus Browser
# that the numbers are not stretched.
_BEHIND = re.compile(r"(?:_doy\d{7,13}(?:_aid\d+)?|_\(raw\))$", re.IGNORECASE)
# Words for colours, as STAC's common names have them.
_COLOURS = {"r": "red", "g": "green", "b": "blue", "n": "nir", "nir1": "nir", "nir2": "nir"}
_COLOURS |= {"near infrared": "nir", "near-infrared": "nir", "near_infrared": "nir", "nearinfrared": "nir"}
_COLOURS |= {"coastal aerosol": "coastal", "coastal_aerosol": "coastal", "red edge": "rededge", "red_edge": "rededge"}
# Beside the bands of a picture, and none themselves.
_AUXILIARY = re.compile(
    r"^(?:qa\w*|scl|cloud\w*|clp?|cld\w*|mask|\w*_mask|fill_?mask|fmask|alpha|udm2?|unusable\w*|valid\w*|aot|wvp|msk_\w+|quality\w*|\w+_flags?|dqf"
    r"|(?:projected_?)?(?:local_?)?incidence_?angle\w*|opacity)$"
)


def bare_stem(stem: str) -> str:
    """Return a file's name, without suffix, up to the name of its band, where a service has put something behind it."""
    return _BEHIND.sub("", stem)


def plain(name: str | None) -> str:
    """Return a name as it is compared."""
    return (name or "").strip().lower()


def is_auxiliary(name: str) -> bool:
    """Say whether a description names a mask or a quality band, not a band of the picture."""
    return bool(_AUXILIARY.match(plain(name)))


def numbered(name: str) -> str | None:
    """Return a numbered band without leading zeros, e.g. `b2` of `B02` and of `Band 2`; None for other names."""
    found = _NUMBERED.fullmatch(plain(name))
    return f"b{found[1].lower()}" if found else None


def named_band(name: str, bands: Sequence[Band]) -> Band | None:
    """Return the one band that a name stands for, None where it stands for none or for several.

    Args:
        name: As a description or a catalogue has it.
        bands: Of one sensor.
    """
    text = plain(name)
    if not text:
        return None
    number, polarisation, colour = numbered(text), _polarisation(text), _COLOURS.get(text, text)
    for found in (
        [band for band in bands if plain(band.name) == text],
        [band for band in bands if number and numbered(band.name) == number],
        [band for band in bands if polarisation and plain(band.polarisation) == polarisation],
        [band for band in bands if plain(band.common_name) == colour],
    ):
        if found:
            return found[0] if len(found) == 1 else None
    return None


def is_exact(name: str, band: Band) -> bool:
    """Say whether a name is the operator's own for a band, not a word for its colour."""
    return plain(name) == plain(band.name) or (numbered(name) is not None and numbered(name) == numbered(band.name))


def is_height(names: Iterable[str]) -> bool:
    """Say whether a name stands for height."""
    return any(_HEIGHT.search(name) for name in names)


def _polarisation(text: str) -> str | None:
    found = {one.lower() for one in _POLARISATION.findall(text.replace("_", " "))}
    return found.pop() if len(found) == 1 else None
