"""Bodies that may bring pictures: JSON, or a form of the same JSON and files."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from bandsight.errors import QueryError
from bandsight.search.question import MAX_PICTURES

_M = TypeVar("_M", bound=BaseModel)
_FORM, _JSON = "multipart/form-data", "application/json"
_FIELDS = ("body", "image", "wavelengths")
# Of the form's field `body`, bytes.
_MOST = 2**20
_BAD = 400

Take = Callable[[dict[str, Any], list[dict[str, Any]]], None]
"""Puts a form's pictures into the values of its body."""


def body_of(model: type[_M], take: Take) -> Callable[[Request], Awaitable[_M]]:
    """Return a dependency that reads a body in either form.

    Args:
        model: The body.
        take: Puts a form's pictures into it.
    """

    async def read(request: Request) -> _M:
        found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        packed = request.headers.get("content-encoding", "identity").strip().lower()
        if packed not in {"", "identity"}:
            raise HTTPException(415, f"Content-Encoding: found {packed[:60]}; bodies are taken as they are, unpacked")
        request.state.media_type_is_right = True
        if found == _FORM:
            values = await _form(request, take)
        elif found == _JSON or (found.startswith("application/") and found.endswith("+json")):
            values = _json(await request.body())
        elif not found and not await request.body():
            raise QueryError("body: missing; this route needs it")
        else:
            raise HTTPException(415, f"Content-Type: found {found or 'none'}; this route takes {_JSON} or {_FORM}")
        try:
            return model.model_validate(values)
        except ValidationError as error:
            errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(errors) from error

    return read


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return how a route that uses `body_of` stands in the OpenAPI document; `search_api.openapi` adds the model."""
    form = {
        "type": "object",
        "properties": {
            "body": {"type": "string", "description": f"{model.__name__} as JSON"},
            "image": {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "maxItems": MAX_PICTURES,
                "description": "PNG, JPEG or GeoTIFF",
            },
            "wavelengths": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": MAX_PICTURES,
                "description": "µm by commas, one field for each image (empty where it needs none)",
            },
        },
        "additionalProperties": False,
    }
    json_schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": json_schema}, _FORM: {"schema": form}}}}


def _json(data: bytes) -> Any:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"body: not JSON ({str(error)[:100]})") from error
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, int):
            # How large it may be is said by its own bounds, as in a URL.
            continue
        try:
            # Links to further pages say the body again.
            orjson.dumps(value)
        except TypeError as error:
            raise QueryError(
                f"{name!r:.60}: found a value that cannot be said again ({error}); need whole characters, integers of "
                "at most 64 bits and no more than 250 levels"
            ) from error
    return values


async def _form(request: Request, take: Take) -> dict[str, Any]:
    try:
        form = await request.form(max_files=MAX_PICTURES, max_fields=MAX_PICTURES + 1, max_part_size=_MOST)
    except HTTPException as error:
        if error.status_code != _BAD:
            raise
        raise QueryError(
            f"body: a form that cannot be read ({error.detail.rstrip('.')}); need multipart/form-data with its "
            f"boundary, at most {MAX_PICTURES} files, and beside them fields of at most {_MOST:,} bytes"
        ) from error
    try:
        if unknown := [name for name in form if name not in _FIELDS]:
            raise QueryError(f"{unknown[0][:60]}: not a field of this form; there are {', '.join(_FIELDS)}")
        values = _body(form)
        take(values, await _pictures(form))
    finally:
        await form.close()
    return values


def _body(form: FormData) -> dict[str, Any]:
    given = form.getlist("body")
    if not given:
        return {}
    if len(given) > 1 or not isinstance(given[0], str):
        raise QueryError("body: found more than one, or a file; need one field of JSON")
    values = _json(given[0].encode())
    if not isinstance(values, dict):
        raise QueryError(f"body: found {given[0][:60]!r}; need a JSON object")
    return values


async def _pictures(form: FormData) -> list[dict[str, Any]]:
    files = form.getlist("image")
    waves = form.getlist("wavelengths")
    if not files:
        raise QueryError("image: missing; a form needs one file or more (without any, send JSON)")
    if len(waves) not in {0, len(files)}:
        raise QueryError(f"wavelengths: found {len(waves)} for {len(files)} images; need one field for each, or none")
    made = []
    for file, own in zip(files, waves or [""] * len(files), strict=True):
        if not isinstance(file, UploadFile):
            raise QueryError("image: found text; need a file")
        made.append({"data": await file.read(), "wavelengths": _numbers(own)})
    return made


def _numbers(text: str | UploadFile) -> list[float] | None:
    if not isinstance(text, str):
        raise QueryError("wavelengths: found a file; need numbers in µm, separated by commas")
    if not text.strip():
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"wavelengths: found {text[:60]!r}; need numbers in µm, separated by commas") from error
