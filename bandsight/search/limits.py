"""How large a search request may be."""

from bandsight.errors import QueryError

MAX_LIST = 1000
"""Most names or ids in a list."""
MAX_TERMS = 16
"""Most alternatives of `q`."""
MAX_EXAMPLES = 64
"""Most examples of a question, and sentences of an example."""
MAX_AREA_TILES = 10_000
"""Most tiles that an example's point or area may stand for."""
MAX_WEIGHT = 1000.0
"""Greatest weight of an example."""
MAX_WAVELENGTHS = 512
"""Most bands of a picture."""
MAX_PICTURES = 8
"""Most pictures of a form."""
MAX_GROUP = 1000
"""Most hits of a group."""
MAX_KEYS = 8
"""Most keys to sort by."""
MAX_CHARS = 1000
"""Most characters of a sentence."""


def check_text(text: str) -> str:
    """Return the sentence without white space around it.

    Raises:
        QueryError: It is empty, or longer than a sentence can be.
    """
    stripped = text.strip()
    if not stripped:
        raise QueryError("query: the text is empty; describe the place, e.g. 'a river beside fields'")
    if any("\ud800" <= one <= "\udfff" for one in stripped):
        raise QueryError("query: the text holds half of a character (a lone surrogate); send whole ones, as UTF-8")
    if len(stripped) > MAX_CHARS:
        raise QueryError(
            f"query: the text has {len(stripped)} characters; at most {MAX_CHARS} are allowed, so shorten it"
        )
    return stripped
