"""The sort extension: `sortby` as keys of an order."""

from collections.abc import Iterable

from bandsight.errors import QueryError
from bandsight.search.limits import MAX_KEYS
from bandsight.search.listing import Key


def keys_of(pairs: Iterable[tuple[str, bool]]) -> tuple[Key, ...]:
    """Return keys of (name, descending) pairs; `properties.` before a name says nothing new.

    Raises:
        QueryError: A name is empty or comes twice, or there are too many.
    """
    keys = tuple(Key(name=name.strip().removeprefix("properties."), descending=down) for name, down in pairs)
    names = [key.name for key in keys]
    if len(keys) > MAX_KEYS:
        raise QueryError(f"sortby: found {len(keys)} keys; at most {MAX_KEYS} are allowed")
    if not all(names):
        raise QueryError("sortby: found an empty name; need names of properties, e.g. -datetime,id")
    if len(set(names)) < len(names):
        raise QueryError(f"sortby: found a name twice in {', '.join(names)}; name each once")
    return keys


def parse_sortby(text: str) -> tuple[Key, ...]:
    """Read the form of a URL: names separated by commas, `-` before one for greatest first.

    Raises:
        QueryError: It cannot be read.
    """
    # A plus sign in a URL is a blank.
    parts = [part.strip() for part in text.split(",")]
    return keys_of((part.lstrip("+-"), part.startswith("-")) for part in parts)
