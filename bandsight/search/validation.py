"""Checks requests, and says what is wrong with one in the same words over HTTP, in Python and on the command line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bandsight.errors import QueryError

_M = TypeVar("_M", bound=BaseModel)
# A message quotes at most so much of a wrong value, and names so many wrong values.
_QUOTED_CHARS, _MAX_ERRORS = 60, 8
_BOUNDS = ("greater_than_equal", "less_than_equal")
# For a value of several possible types, pydantic adds the type that it tried to the location.
_TYPE = re.compile(r"(?:list|dict)\[.*\]|constrained-\w+|str|bool")


def validated(model: type[_M], values: Mapping[str, Any]) -> _M:
    """Return a request from its members.

    Args:
        model: The request.
        values: Its members, as JSON has them; pictures may be bytes.

    Raises:
        QueryError: A member is unknown, missing, or has a value that cannot be used.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise QueryError(sentences_of(found)) from error


def sentences_of(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return what pydantic found wrong: each parameter or member, its value, and what is allowed.

    Args:
        errors: As pydantic lists them; a location begins with `body`, `query` or `path`.
    """
    return "; ".join(map(_sentence, errors[:_MAX_ERRORS]))


def quoted(value: object) -> str:
    """Return a value as messages quote it, shortened where it is long."""
    return _shortened(repr(value))


def _sentence(error: Mapping[str, Any]) -> str:
    where, *steps = error["loc"]
    named = [step for step in map(str, steps) if not _TYPE.fullmatch(step)] if where == "body" else steps
    name = ".".join(str(step) for step in named if not isinstance(step, int)) or str(where)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "missing":
        return f"{name}: missing; it is required"
    if error["type"] == "json_invalid":
        return f"body: not JSON ({error.get('ctx', {}).get('error', message)})"
    found = error.get("input")
    # A number in a URL is text until it is read; GET and POST quote it alike.
    text = _shortened(found) if error["type"] in _BOUNDS and isinstance(found, str) else quoted(found)
    return f"{name}: found {text}; {message[:1].lower()}{message[1:]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…"
