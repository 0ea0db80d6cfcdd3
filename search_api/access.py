"""Who may ask: whoever has the key; without one everybody on this machine, but no stranger's web page."""

import base64
import binascii
import ipaddress
import secrets
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.errors import SettingsError
from bandsight.search.validation import quoted
from search_api.errors import problem
from search_api.settings import ApiSettings

# What a load balancer or an orchestrator asks without a key; it says nothing about the archive.
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_UNAUTHORIZED, _FORBIDDEN, _MISDIRECTED = 401, 403, 421
# They change nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Names that nobody can register (RFC 6761).
_NOBODYS = (".localhost", ".invalid", ".test")
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
    """Middleware: 401 without the key, which comes as a bearer token, or as a password where a browser asks for one.

    Without a key, 421 for a host that is not this machine: somebody's web page can have its own name lead here
    (DNS rebinding), and would then read the archive in the browser of whoever looks at it.

    With or without, 403 for what another site's page has a browser send, unless that site may: it could not read the
    answer, but register searches, and cost time.
    """

    def __init__(
        self, app: ASGIApp, *, key: str | None, public_url: str | None = None, origins: Sequence[str] = ()
    ) -> None:
        self._app, self._origins = app, frozenset(origins)
        self._key = None if key is None else key.encode()
        self._public = _parts(public_url or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if scope["method"] not in _SAFE and self._is_foreign(request):
            origin = quoted(request.headers.get("origin", ""))
            said = f"Origin: found {origin}, which is not this server's page; BANDSIGHT_CORS_ORIGINS names who else may"
            await problem(_FORBIDDEN, said, request)(scope, receive, send)
            return
        if self._key is None:
            host = request.headers.get("host", "")
            if self._is_own(_parts(f"//{host}")):
                await self._app(scope, receive, send)
                return
            said = f"Host: found {quoted(host)}; this server has no key, so it answers to localhost and to addresses"
            refusal = problem(_MISDIRECTED, f"{said}; set BANDSIGHT_PUBLIC_URL to its name, or a key", request)
            await refusal(scope, receive, send)
            return
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

    def _is_foreign(self, request: Request) -> bool:
        """Say whether another site's page has sent this; programs send neither header."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        if site is not None:
            return site not in {"same-origin", "none"}
        # Browsers say the site to https and localhost only.
        sender = _parts(origin)
        own = {request.headers.get("host"), self._public.netloc if self._public else None}
        return sender is None or not sender.netloc or sender.netloc not in own

    def _is_own(self, host: SplitResult | None) -> bool:
        """Say whether the name of a host is none that a stranger could have given this server."""
        if host is None:
            return False
        name = host.hostname or ""
        if "." not in name or name.endswith(_NOBODYS) or (self._public and name == self._public.hostname):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL, None where it cannot be read."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


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
