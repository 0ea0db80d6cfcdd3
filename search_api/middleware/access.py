"""Access control: clients with the key; without a key, this machine only, and no web pages of other sites."""

import base64
import binascii
import ipaddress
import secrets
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.errors import SettingsError
from bandsight.search.validation import quoted
from search_api.errors import problem
from search_api.settings import ApiSettings

# Load balancers and orchestrators call these without a key. They reveal nothing about the archive.
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_UNAUTHORIZED, _FORBIDDEN, _MISDIRECTED = 401, 403, 421
# Methods without side effects (RFC 9110, 9.2.1).
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Nobody can register names under these (RFC 6761).
_RESERVED_DOMAINS = (".localhost", ".invalid", ".test")
# A shorter key could be guessed by trying.
_MIN_KEY_CHARS = 16


def check_exposure(settings: ApiSettings) -> None:
    """Check that a server which listens beyond this machine has a key.

    Raises:
        SettingsError: The address is not loopback and there is no key, or the key is short enough to guess.
    """
    if settings.key is not None and len(settings.key.get_secret_value()) < _MIN_KEY_CHARS:
        raise SettingsError(
            f"key: {len(settings.key.get_secret_value())} characters; need at least {_MIN_KEY_CHARS}, e.g. the output "
            "of 'openssl rand -hex 16'"
        )
    if settings.key is None and not is_loopback(settings.host):
        raise SettingsError(
            f"host {settings.host}: anyone who can reach this address could search the archive; set BANDSIGHT_KEY to a "
            "secret that clients send as 'Authorization: Bearer …', or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AccessMiddleware:
    """Checks the key, the host and the origin of each request.

    401 without the key. Programs send the key as a bearer token; browsers, which prompt for it, as a password.

    421 for a foreign host name on a server without a key. A web page could point its own domain at this machine (DNS
    rebinding) and read the archive in a visitor's browser.

    403 for a request that changes something and comes from the page of another site, unless that origin is allowed.
    Such a page could not read the response, but it could register searches and use up time.
    """

    def __init__(
        self, app: ASGIApp, *, key: str | None, public_url: str | None = None, origins: Sequence[str] = ()
    ) -> None:
        self._app, self._origins = app, frozenset(origins)
        self._key = None if key is None else key.encode()
        self._public = _parts(public_url or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with an error."""
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        response = self._refusal(Request(scope)) or self._app
        await response(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """Return the error response to a request, None where it may pass."""
        if request.method not in _SAFE_METHODS and self._is_cross_site(request):
            origin = quoted(request.headers.get("origin", ""))
            return problem(
                _FORBIDDEN,
                f"Origin: found {origin}, which is not this server's page; allow other origins with "
                "BANDSIGHT_CORS_ORIGINS",
                request,
            )
        if self._key is None:
            host = request.headers.get("host", "")
            if self._is_own_host(_parts(f"//{host}")):
                return None
            return problem(
                _MISDIRECTED,
                f"Host: found {quoted(host)}; a server without a key responds to localhost and IP addresses only; "
                "set BANDSIGHT_PUBLIC_URL to its name, or set a key",
                request,
            )
        found = _key(request.headers.get("authorization", ""))
        if found is not None and secrets.compare_digest(found, self._key):
            return None
        what = "no key" if found is None else "another key"
        response = problem(
            _UNAUTHORIZED, f"Authorization: found {what}; need this server's key as 'Bearer KEY'", request
        )
        # Programs send the bearer token; browsers, QGIS and GDAL can prompt for a password.
        response.headers["WWW-Authenticate"] = 'Bearer realm="bandsight", Basic realm="bandsight", charset="UTF-8"'
        return response

    def _is_cross_site(self, request: Request) -> bool:
        """Return whether the page of another site sent a request. Programs send neither of the two headers."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        if site is not None:
            return site not in {"same-origin", "none"}
        # Browsers send Sec-Fetch-Site to https and localhost only.
        sender = _parts(origin)
        own = {request.headers.get("host"), self._public.netloc if self._public else None}
        return sender is None or not sender.netloc or sender.netloc not in own

    def _is_own_host(self, host: SplitResult | None) -> bool:
        """Return whether a host name cannot be a domain that someone else pointed at this server."""
        if host is None:
            return False
        name = host.hostname or ""
        if "." not in name or name.endswith(_RESERVED_DOMAINS) or (self._public and name == self._public.hostname):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL, None where it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _key(header: str) -> bytes | None:
    """Return the key in an Authorization header, None where it has none."""
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
