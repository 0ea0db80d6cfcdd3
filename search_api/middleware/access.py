"""Access control: clients with the key; without a key, this machine only, and no web pages of other sites."""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import SplitResult, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.errors import SettingsError
from bandsight.search.validation import quoted
from search_api.basemap import Basemap
from search_api.errors import problem
from search_api.page import page
from search_api.sessions import Sessions
from search_api.settings import ApiSettings

# Load balancers and orchestrators call these without a key. They reveal nothing about the archive.
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# Browsers need these to sign in. The files are those of the package.
_SIGN_IN_PATH, _SIGN_IN_FILES = "/session", "/static/"
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

    401 without the key. Programs send the key as a bearer token or as a password. Browsers get the page, which asks for
    the key, and then send a session cookie.

    421 for a foreign host name on a server without a key. A web page could point its own domain at this machine (DNS
    rebinding) and read the archive in a visitor's browser.

    403 for a request that changes something and comes from the page of another site, unless that origin is allowed.
    Such a page could not read the response, but it could register searches and use up time. The cookie allows changes
    to the server's own page only.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions | None,
        public_url: str | None = None,
        origins: Sequence[str] = (),
        basemap: Basemap | None = None,
    ) -> None:
        self._basemap = basemap
        self._app, self._sessions, self._origins = app, sessions, frozenset(origins)
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
        changes = request.method not in _SAFE_METHODS
        if changes and self._is_cross_site(request):
            origin = quoted(request.headers.get("origin", ""))
            return problem(
                HTTPStatus.FORBIDDEN,
                f"Origin: found {origin}, which is not this server's page; allow other origins with "
                "BANDSIGHT_CORS_ORIGINS; behind a proxy, set BANDSIGHT_PUBLIC_URL or BANDSIGHT_TRUSTED_PROXIES",
                request,
            )
        if self._sessions is not None:
            return self._refusal_by_key(request, self._sessions, changes=changes)
        host = request.headers.get("host", "")
        if self._is_own_host(_parts(f"//{host}")):
            return None
        return problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"Host: found {quoted(host)}; a server without a key responds to localhost and IP addresses only; "
            "set BANDSIGHT_PUBLIC_URL to its name, or set a key",
            request,
        )

    def _refusal_by_key(self, request: Request, sessions: Sessions, *, changes: bool) -> Response | None:
        path = request.scope["path"]
        if path == _SIGN_IN_PATH or path.startswith(_SIGN_IN_FILES):
            return None
        found = _key(request.headers.get("authorization", ""))
        if found is not None and sessions.is_key(found):
            return None
        if sessions.is_session(request.cookies.get(sessions.cookie)):
            if not changes or self._is_own_page(request):
                return None
            return problem(
                HTTPStatus.FORBIDDEN,
                "Origin: found none of this server's page; a session cookie allows changes to that page only; other "
                "clients send the key as 'Authorization: Bearer KEY'",
                request,
            )
        if _is_navigation(request):
            return self._ask_for_key(path, request.url.query)
        what = "no key" if found is None else "another key"
        response = problem(
            HTTPStatus.UNAUTHORIZED, f"Authorization: found {what}; need this server's key as 'Bearer KEY'", request
        )
        # Programs send the bearer token; QGIS and GDAL can also send a password. Browsers would open a prompt of their
        # own for Basic, over the page that asks for the key.
        response.headers["WWW-Authenticate"] = 'Bearer realm="bandsight"'
        if not _is_browser(request):
            response.headers.append("WWW-Authenticate", 'Basic realm="bandsight", charset="UTF-8"')
        return response

    def _ask_for_key(self, path: str, query: str) -> Response:
        """Return the page in the state in which it asks for the key, or a redirect to it that comes back afterwards."""
        if path == "/":
            return page(sign_in=True, basemap=self._basemap)
        wanted = quote(f"{path.lstrip('/')}?{query}" if query else path.lstrip("/"), safe="")
        # Relative, because a proxy may serve this under a prefix that the server does not know.
        root = "../" * (path.count("/") - 1) or "./"
        return RedirectResponse(f"{root}#next={wanted}", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    def _is_cross_site(self, request: Request) -> bool:
        """Return whether the page of another site sent a request. Programs send neither of the two headers."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        return not self._is_own_page(request)

    def _is_own_page(self, request: Request) -> bool:
        """Return whether this server's page, or the user of the browser, sent a request."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        # Browsers send Sec-Fetch-Site to https and localhost only.
        sender = _parts(request.headers.get("origin", ""))
        own = {request.headers.get("host"), self._public.netloc if self._public else None}
        return sender is not None and bool(sender.netloc) and sender.netloc in own

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


def _is_navigation(request: Request) -> bool:
    """Return whether a browser opens a page, rather than loading a part of one."""
    mode = request.headers.get("sec-fetch-mode", "navigate")
    return request.method == "GET" and mode == "navigate" and "text/html" in request.headers.get("accept", "")


def _is_browser(request: Request) -> bool:
    """Return whether a request comes from a web page. To hosts without https, browsers send no Sec-Fetch headers."""
    return any(name in request.headers for name in ("sec-fetch-mode", "origin", "referer"))


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
