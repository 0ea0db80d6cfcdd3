"""Request bodies with images: JSON, or a multipart form with the same JSON and files."""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from bandsight.errors import QueryError
from bandsight.search.limits import MAX_PICTURES
from search_api.caller import caller_of_request
from search_api.decoding import begin_decoding
from search_api.middleware.access import lacks_scope
from search_api.policies import Scope
from search_api.request_work import RequestWork, check_commas
from search_api.settings import ApiSettings

_Body = TypeVar("_Body", bound=BaseModel)
_FORM, _JSON = "multipart/form-data", "application/json"
_FIELDS = ("body", "image", "wavelengths")
# Largest form field `body`.
_MAX_BODY_BYTES = 2**20
_BAD_REQUEST = 400
_LARGE_BYTES = 2**16

ImageSetter = Callable[[dict[str, Any], list[dict[str, Any]]], None]
"""Adds the images of a form to the values of the body."""


def add_images(values: dict[str, Any], images: list[dict[str, Any]]) -> None:
    """Add the images of a form to a search's body, as positive examples.

    Raises:
        QueryError: The body already has another kind of `semantic` query.
    """
    semantic = values.setdefault("semantic", {})
    positive = semantic.setdefault("positive", []) if isinstance(semantic, dict) else None
    if not isinstance(positive, list):
        raise QueryError(
            "semantic: not an object with a list `positive`; a form with files needs that list, or no `semantic`"
        )
    positive += [{"image": image} for image in images]


def body_of(model: type[_Body], set_images: ImageSetter) -> Callable[[Request], Awaitable[_Body]]:
    """Return a dependency that parses a body from JSON or from a form.

    Args:
        model: Model of the body.
        set_images: Adds the images of a form to the body.
    """

    def parse(data: bytes, request: Request) -> Any:
        check_commas(data, request.app.state.settings)
        return _json(data)

    def validate(values: Any, request: Request) -> tuple[_Body, int]:
        try:
            body = model.model_validate(values)
        except ValidationError as error:
            errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(errors) from error
        limits: ApiSettings = request.app.state.settings
        work = RequestWork.of(values, limits)
        work.check(limits)
        return body, work.pictures

    async def read(request: Request) -> _Body:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise HTTPException(415, f"Content-Encoding: found {encoding[:60]}; send the body without compression")
        request.state.media_type_checked = True
        if media_type == _FORM:
            values = await _form(request, set_images)
        elif media_type == _JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
            # Large bodies would block the event loop.
            data = await request.body()
            values = await run_in_threadpool(parse, data, request) if len(data) > _LARGE_BYTES else _json(data)
        elif not media_type and not await request.body():
            raise QueryError("body: missing; this route needs it")
        else:
            raise HTTPException(
                415, f"Content-Type: found {media_type or 'none'}; this route accepts {_JSON} or {_FORM}"
            )
        is_large = media_type == _FORM or len(await request.body()) > _LARGE_BYTES
        body, pictures = await run_in_threadpool(validate, values, request) if is_large else validate(values, request)
        if pictures:
            _begin_pictures(request)
        return body

    return read


async def limit_json_work(request: Request) -> None:
    """Limit the work of JSON bodies parsed by FastAPI.

    Raises:
        QueryError: The body exceeds the limits.
    """
    if request.method == "POST" and getattr(request.scope.get("route"), "body_field", None) is not None:
        with suppress(ValueError, RecursionError):
            # FastAPI caches the parsed body, and has already rejected invalid JSON.
            limits = request.app.state.settings
            RequestWork.of(await request.json(), limits).check(limits)


def _begin_pictures(request: Request) -> None:
    """Check that the key allows images, and limit their decoding time."""
    caller = caller_of_request(request)
    if Scope.PICTURES not in caller.scopes:
        raise HTTPException(403, lacks_scope(caller.key or "", Scope.PICTURES))
    settings: ApiSettings = request.app.state.settings
    begin_decoding(settings.max_decode_s)


def openapi_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that uses `body_of`; `search_api.openapi` adds the model's schema."""
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
                "description": "Wavelengths in µm, separated by commas; one field per image, empty if not needed",
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
            # The field's constraints limit its size, as in a URL.
            continue
        try:
            # Links to other pages repeat the body.
            orjson.dumps(value)
        except TypeError as error:
            raise QueryError(
                f"{name!r:.60}: found a value that JSON cannot represent ({error}); need valid Unicode, integers of at "
                "most 64 bits and no more than 250 levels of nesting"
            ) from error
    return values


async def _form(request: Request, set_images: ImageSetter) -> dict[str, Any]:
    try:
        form = await request.form(max_files=MAX_PICTURES, max_fields=MAX_PICTURES + 1, max_part_size=_MAX_BODY_BYTES)
    except HTTPException as error:
        if error.status_code != _BAD_REQUEST:
            raise
        raise QueryError(
            f"body: found a form that cannot be parsed ({error.detail.rstrip('.')}); need multipart/form-data with its "
            f"boundary, at most {MAX_PICTURES} files, and other fields of at most {_MAX_BODY_BYTES:,} bytes"
        ) from error
    try:
        if unknown := [name for name in form if name not in _FIELDS]:
            raise QueryError(f"{unknown[0][:60]}: not a field of this form; its fields are {', '.join(_FIELDS)}")
        values = _body(form)
        set_images(values, await _images(form))
    finally:
        await form.close()
    return values


def _body(form: FormData) -> dict[str, Any]:
    fields = form.getlist("body")
    if not fields:
        return {}
    if len(fields) > 1 or not isinstance(fields[0], str):
        raise QueryError("body: found more than one, or a file; need one field of JSON")
    values = _json(fields[0].encode())
    if not isinstance(values, dict):
        raise QueryError(f"body: found {fields[0][:60]!r}; need a JSON object")
    return values


async def _images(form: FormData) -> list[dict[str, Any]]:
    files = form.getlist("image")
    wavelengths = form.getlist("wavelengths")
    if not files:
        raise QueryError("image: missing; a form needs at least one file; without files, send JSON")
    if len(wavelengths) not in {0, len(files)}:
        raise QueryError(
            f"wavelengths: found {len(wavelengths)} fields for {len(files)} images; need one field for each, or none"
        )
    images = []
    for file, text in zip(files, wavelengths or [""] * len(files), strict=True):
        if not isinstance(file, UploadFile):
            raise QueryError("image: found text; need a file")
        images.append({"data": await file.read(), "wavelengths": _numbers(text)})
    return images


def _numbers(text: str | UploadFile) -> list[float] | None:
    if not isinstance(text, str):
        raise QueryError("wavelengths: found a file; need numbers in µm, separated by commas")
    if not text.strip():
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise QueryError(f"wavelengths: found {text[:60]!r}; need numbers in µm, separated by commas") from error
