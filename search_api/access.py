"""Who may ask: everybody on this machine, or whoever has the key."""

import base64
import binascii
import ipaddress
import secrets

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.errors import SettingsError
from search_api.errors import problem
from search_api.settings import ApiSettings

# What a load balancer or an orchestrator asks without a key; it says nothing about the archive.
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_UNAUTHORIZED = 401
# What cannot be guessed by trying.
_KEY_CHARS = 16


def check_exposure(settings: ApiSettings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        SettingsError: The address is not loopback and there is no key, or the key can be guessed.
    """
    if settings.key is not None and len(settings.key.get_secret_value()) < _KEY_CHARS:
        raise SettingsError(
            f"key: {len(settings.key.get_secret_value())} characters; need at least {_KEY_CHARS}, e.g. what "
            "'openssl rand -hex 16' prints"
        )
    if settings.key is None and not is_loopback(settings.host):
        raise SettingsError(
            f"host {settings.host}: whoever reaches this address could search the archive; set BANDSIGHT_KEY to a "
            "secret that clients send as 'Authorization: Bearer …', or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Access:
    """Middleware: 401 without the key, which comes as a bearer token, or as a password where a browser asks for one."""

    def __init__(self, app: ASGIApp, *, key: str | None) -> None:
        self._app = app
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if self._key is None or scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        found = _key(request.headers.get("authorization", ""))
        if found is not None and secrets.compare_digest(found, self._key):
            await self._app(scope, receive, send)
            return
        said = "none" if found is None else "another"
        refusal = problem(
            _UNAUTHORIZED, f"Authorization: found {said}; need this server's key as 'Bearer KEY'", request
        )
        # Both schemes: programs send the token, browsers, QGIS and GDAL can ask for a password.
        refusal.headers["WWW-Authenticate"] = 'Bearer realm="bandsight", Basic realm="bandsight", charset="UTF-8"'
        await refusal(scope, receive, send)


def _key(header: str) -> bytes | None:
    """Return the key that a header carries, None when it carries none."""
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip().encode()
        case "basic":
            try:
                return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return None
        case _:
            return None
