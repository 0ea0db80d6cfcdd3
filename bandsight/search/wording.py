"""Questions that a calibration says nothing about: it was fitted on short English sentences."""

import unicodedata

_MAX_WORDS = 40
# Little words of other languages that are none in English, nor parts of names that English has (Las Vegas, El Paso).
_FOREIGN = frozenset(
    [
        "und",
        "mit",
        "der",
        "das",
        "ein",
        "eine",
        "zwischen",
        "wo",
        "sind",
        "auf",
        "im",
        "le",
        "les",
        "une",
        "et",
        "avec",
        "dans",
        "du",
        "au",
        "una",
        "y",
        "en",
        "del",
        "donde",
        "il",
        "gli",
        "uno",
        "della",
        "nel",
        "dove",
        "em",
        "com",
        "uma",
        "onde",
        "een",
        "het",
        "waar",
    ]
)


def unfamiliar(text: str) -> str | None:
    """Return why no probability holds for a question, in words; None where nothing speaks against it.

    It is about the wording alone. A single foreign noun in plain letters is not recognised.
    """
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return "not calibrated for questions without words"
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    if 2 * latin < len(letters):
        return "not calibrated for questions in other scripts than Latin"
    words = text.lower().split()
    if len(words) > _MAX_WORDS:
        return f"not calibrated for questions of more than {_MAX_WORDS} words"
    if not "".join(letters).isascii() or _FOREIGN & {word.strip(".,;:!?\"'()") for word in words}:
        return "not calibrated for questions in other languages than English"
    return None
