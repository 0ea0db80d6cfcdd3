"""Shared dependencies of routes: the open service, the server's URL, and strict query parameters."""

from collections.abc import Callable
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import Depends, Request

from bandsight.errors import QueryError
from search_api.middleware.forwarded import prefix
from search_api.service import Service
from search_api.settings import ApiSettings


def get_service(request: Request) -> Service:
    """Return the open archive and model of this app."""
    service: Service = request.app.state.service
    return service


# Names of the query parameters of each route.
_KNOWN: WeakKeyDictionary[Callable[..., Any], frozenset[str]] = WeakKeyDictionary()
ServiceDep = Annotated[Service, Depends(get_service)]


def server_url(request: Request) -> str:
    """Return the root URL of the server as clients reach it, without a trailing slash."""
    settings: ApiSettings = request.app.state.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    return str(request.base_url).rstrip("/") + prefix(request.scope)


async def reject_unknown_params(request: Request) -> None:
    """Reject query parameters that the route does not define, and repeated ones.

    Raises:
        QueryError: A parameter is unknown or appears twice.
    """
    if not request.scope["query_string"]:
        return
    endpoint = request.scope["endpoint"]
    known = _KNOWN.get(endpoint)
    if known is None:
        known = _KNOWN[endpoint] = frozenset(one.alias for one in _query_fields(request.scope["route"].dependant))
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            choices = f"valid parameters are {', '.join(sorted(known))}" if known else "it has no parameters"
            raise QueryError(f"{name[:60]}: not a parameter of this route; {choices}")
        if name in seen:
            raise QueryError(f"{name}: found more than once; send it once, with list values separated by commas")
        seen.add(name)


def _query_fields(dependant: Any) -> list[Any]:
    return [*dependant.query_params, *(field for inner in dependant.dependencies for field in _query_fields(inner))]
