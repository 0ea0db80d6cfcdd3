"""Applies the forwarded headers of trusted proxies."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from search_api.settings import Network, is_trusted

PREFIX_KEY = "bandsight.prefix"
"""Key in a scope of the path before the app's own paths."""
_PREFIX = re.compile(r"(/[\w.~-]+)+")
_HOST = re.compile(r"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


def prefix(scope: Scope) -> str:
    """Return the path under which clients reach the app, e.g. `/bandsight`, without a slash at its end."""
    found: str = scope.get(PREFIX_KEY, "")
    return found


class ForwardedMiddleware:
    """Applies `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` of trusted proxies; ignores those of others.

    If a header has several values, the last one is used, because the trusted proxy added it.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network]) -> None:
        self._app, self._trusted = app, tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the client's address and the original URL."""
        if scope["type"] == "http" and scope["client"] is not None and self._is_trusted(scope["client"][0]):
            scope = self._as_sent(scope)
        await self._app(scope, receive, send)

    def _as_sent(self, scope: Scope) -> Scope:
        headers = Headers(scope=scope)
        sent = {**scope, "headers": list(scope["headers"])}
        scheme, host, path = (_last(headers, name) for name in ("proto", "host", "prefix"))
        if scheme in {"http", "https"}:
            sent["scheme"] = scheme
        if _HOST.fullmatch(host):
            MutableHeaders(scope=sent)["host"] = host
        if _PREFIX.fullmatch(path.rstrip("/")):
            sent[PREFIX_KEY] = path.rstrip("/") + prefix(scope)
        client = self._client(headers.get("x-forwarded-for", ""))
        if client is not None:
            sent["client"] = (client, 0)
        return sent

    def _client(self, chain: str) -> str | None:
        """Return the last address in a chain of proxies that is not a trusted proxy itself."""
        addresses = [address.strip() for address in chain.split(",") if address.strip()]
        return next((address for address in reversed(addresses) if not self._is_trusted(address)), None)

    def _is_trusted(self, address: str) -> bool:
        return is_trusted(address, self._trusted)


def _last(headers: Headers, name: str) -> str:
    return headers.get(f"x-forwarded-{name}", "").rpartition(",")[2].strip()
