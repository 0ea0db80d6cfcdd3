"""The OpenAPI document as this server really answers: its own errors instead of FastAPI's, and its key."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bandsight.stac.documents import OPENAPI as MEDIA_TYPE
from search_api.problem_schema import SCHEMA

# What FastAPI says of validation, where this server answers 400 with a problem document.
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Give an app its document.

    Args:
        app: The app.
        bodies: Models that FastAPI does not know of.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, bodies)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return JSONResponse(document(), media_type=MEDIA_TYPE)


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for operations in made["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for body in bodies:
        own = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= own.pop("$defs", {}) | {body.__name__: own}
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # Either: a server on loopback may have no key.
    made["security"] = [{"key": []}, {}]
    return made
