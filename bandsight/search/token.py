"""Page tokens: where a page ended, for which query, at which generation; safe in a URL."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bandsight.errors import QueryError

_PARTS = 3
MAX_CHARS = 4000


def query_digest(key: Any) -> str:
    """Return a digest that tells one query from others."""
    return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Where a page ended."""

    question: str
    """Digest of the query: a token continues the same query only."""
    generation: int
    """The commit that the page was read from."""
    place: list[Any]
    """Where the next page starts, as the ranking or listing wrote it."""

    def text(self) -> str:
        """Return the token as text."""
        values = json.dumps([self.question, self.generation, self.place], separators=(",", ":"))
        return base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, *, question: str, generation: int) -> "Token":
        """Read a token of a query.

        Raises:
            QueryError: It is no token, of another query, or of a generation that this archive never had.
        """
        try:
            values = json.loads(base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError) as error:
            raise bad_token(text) from error
        if not isinstance(values, list) or len(values) != _PARTS:
            raise bad_token(text)
        own_question, own_generation, place = values
        if not isinstance(own_question, str) or type(own_generation) is not int or not isinstance(place, list):
            raise bad_token(text)
        if own_question != question:
            raise QueryError(
                "token: it belongs to another question; repeat the parameters of the first page (limit may differ)"
            )
        if own_generation > generation:
            raise QueryError(
                f"token: it is of generation {own_generation}, but this archive is at {generation} (restored from a "
                "backup?); search again without a token"
            )
        return cls(question=own_question, generation=own_generation, place=place)


def bad_token(text: str) -> QueryError:
    """Return the error for a token that cannot be read."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004
    return QueryError(f"token: found {shown!r}; need the one from the link `next` of the page before, unchanged")
