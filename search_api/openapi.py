"""The OpenAPI document: FastAPI's, but with this server's error responses and security scheme."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bandsight.stac.documents import OPENAPI as MEDIA_TYPE
from search_api.dependencies import server_url
from search_api.policies import PROBE, policy_of
from search_api.problem_schema import SCHEMA, problems

# FastAPI's schemas of validation errors. This server responds with 400 and a problem document instead.
_UNUSED_SCHEMAS = ("HTTPValidationError", "ValidationError")


def add_openapi(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Add `/openapi.json` to an app.

    Args:
        app: The app.
        bodies: Models of bodies that routes parse themselves, which FastAPI does not know.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, bodies)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> Response:
        # By default, clients would use the root of the host, even behind a proxy that serves a sub-path.
        servers = [{"url": server_url(request)}]
        return JSONResponse({**document(), "servers": servers}, media_type=MEDIA_TYPE)


def _shared_problems(method: str, path: str, *, has_body: bool) -> dict[int | str, dict[str, Any]]:
    """Return the errors that middleware may return."""
    policy = policy_of(method, path)
    if policy.work is PROBE:
        return {}
    statuses = [403, 429, 503] if policy.work.waits else [403]
    return problems(*statuses, *((400, 408, 413, 415) if has_body else ()))


def _document(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            if "application/json" in responses.get("422", {}).get("content", {}):
                del responses["422"]
            for status, response in _shared_problems(method.upper(), path, has_body="requestBody" in operation).items():
                responses.setdefault(str(status), response)
            operation["responses"] = dict(sorted(responses.items()))
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for body in bodies:
        body_schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= body_schema.pop("$defs", {}) | {body.__name__: body_schema}
    for name in _UNUSED_SCHEMAS:
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # The key is optional, because a server on loopback may have none.
    schema["security"] = [{"key": []}, {}]
    return schema
