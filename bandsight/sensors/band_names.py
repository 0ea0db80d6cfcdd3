"""Recognises band names as written in files: B2 for B02, R for red, Gamma0_VV for VV."""

import re
from collections.abc import Iterable, Sequence

from bandsight.sensors.profile import Band

_NUMBERED = re.compile(r"(?:band|b)[ _-]?0*(\d{1,2}a?)(?![0-9a-z])", re.IGNORECASE)
_POLARISATION = re.compile(r"(?<![A-Za-z0-9])(VV|VH|HH|HV)(?![A-Za-z0-9])", re.IGNORECASE)
_HEIGHT = re.compile(r"(?<![a-z])(?:elevation|height|altitude|bathymetry|dem|dsm|dtm)(?![a-z])", re.IGNORECASE)
# Suffixes that services append to the band name: day of year and request id (NASA AppEEARS), or a mark for unstretched
# values (Copernicus Browser).
_BEHIND = re.compile(r"(?:_doy\d{7,13}(?:_aid\d+)?|_\(raw\))$", re.IGNORECASE)
# Synonyms for STAC common names.
_COLOURS = {"r": "red", "g": "green", "b": "blue", "n": "nir", "nir1": "nir", "nir2": "nir"}
_COLOURS |= {"near infrared": "nir", "near-infrared": "nir", "near_infrared": "nir", "nearinfrared": "nir"}
_COLOURS |= {"coastal aerosol": "coastal", "coastal_aerosol": "coastal", "red edge": "rededge", "red_edge": "rededge"}
# Masks, quality bands and other auxiliary layers.
_AUXILIARY = re.compile(
    r"^(?:qa\w*|scl|cloud\w*|clp?|cld\w*|mask|\w*_mask|fill_?mask|fmask|alpha|udm2?|unusable\w*|valid\w*|aot|wvp|msk_\w+|quality\w*|\w+_flags?|dqf"
    r"|(?:projected_?)?(?:local_?)?incidence_?angle\w*|opacity)$"
)


def bare_stem(stem: str) -> str:
    """Return a file stem without the suffix that some services append to the band name."""
    return _BEHIND.sub("", stem)


def plain(name: str | None) -> str:
    """Return a name normalised for comparison."""
    return (name or "").strip().lower()


def is_auxiliary(name: str) -> bool:
    """Return whether a description names a mask or quality band, not an image band."""
    return bool(_AUXILIARY.match(plain(name)))


def numbered(name: str) -> str | None:
    """Return a band number in canonical form, e.g. `b2` for `B02` and `Band 2`; None for other names."""
    found = _NUMBERED.fullmatch(plain(name))
    return f"b{found[1].lower()}" if found else None


def named_band(name: str, bands: Sequence[Band]) -> Band | None:
    """Return the band with a name, or None if no band or several bands match.

    Args:
        name: Name from a band description or a catalogue.
        bands: Bands of one sensor.
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
    """Return whether a name is the operator's name for a band, rather than a colour."""
    return plain(name) == plain(band.name) or (numbered(name) is not None and numbered(name) == numbered(band.name))


def is_height(names: Iterable[str]) -> bool:
    """Return whether any name stands for elevation."""
    return any(_HEIGHT.search(name) for name in names)


def _polarisation(text: str) -> str | None:
    found = {one.lower() for one in _POLARISATION.findall(text.replace("_", " "))}
    return found.pop() if len(found) == 1 else None
