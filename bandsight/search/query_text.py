"""What a query sentence must be, the same for the command line and over HTTP."""

from bandsight.errors import QueryError

MAX_CHARS = 1000


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
