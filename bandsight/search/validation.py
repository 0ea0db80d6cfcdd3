"""Validates requests, with the same error messages over HTTP, in Python and on the command line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bandsight.errors import QueryError

_M = TypeVar("_M", bound=BaseModel)
# Maximum quoted length of an invalid value, and maximum number of errors in a message.
_QUOTED_CHARS, _MAX_ERRORS = 60, 8
_BOUNDS = ("greater_than_equal", "less_than_equal")
# For unions, pydantic adds the type it tried to the location.
_TYPE = re.compile(r"(?:list|dict)\[.*\]|constrained-\w+|str|bool")


def validated(model: type[_M], values: Mapping[str, Any]) -> _M:
    """Validate a request.

    Args:
        model: The request model.
        values: Its members, as JSON values; images may be bytes.

    Raises:
        QueryError: A member is unknown, missing, or has an invalid value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise QueryError(sentences_of(found)) from error


def sentences_of(errors: Sequence[Mapping[str, Any]]) -> str:
    """Describe pydantic's errors: each parameter or member, its value, and what is allowed.

    Args:
        errors: Errors as listed by pydantic; locations start with `body`, `query` or `path`.
    """
    return "; ".join(map(_sentence, errors[:_MAX_ERRORS]))


def quoted(value: object) -> str:
    """Quote a value for a message, shortened if it is long."""
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
    # Numbers in URLs are text; quote them as in POST requests.
    text = _shortened(found) if error["type"] in _BOUNDS and isinstance(found, str) else quoted(found)
    return f"{name}: found {text}; {message[:1].lower()}{message[1:]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…"
