"""The OpenAPI document: FastAPI's, with this server's error responses and key instead of FastAPI's defaults."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bandsight.stac.documents import OPENAPI as MEDIA_TYPE
from search_api.dependencies import server_url
from search_api.problem_schema import SCHEMA

# FastAPI's schemas of validation errors. This server responds with 400 and a problem document instead.
_UNUSED_SCHEMAS = ("HTTPValidationError", "ValidationError")


def add_openapi(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Add `/openapi.json` to an app.

    Args:
        app: The app.
        bodies: Models of bodies that routes parse themselves, and FastAPI therefore does not know.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, bodies)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Response:
        # Without it, clients would take the root of the host, even behind a proxy that serves a sub-path.
        servers = [{"url": server_url(request)}]
        return JSONResponse({**document(), "servers": servers}, media_type=MEDIA_TYPE)


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for body in bodies:
        body_schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= body_schema.pop("$defs", {}) | {body.__name__: body_schema}
    for name in _UNUSED_SCHEMAS:
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # The key is optional: a server on loopback may have none.
    schema["security"] = [{"key": []}, {}]
    return schema
