"""Access control: keys, scopes, limits, and protection against requests from other sites."""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import SplitResult, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bandsight.search.validation import quoted
from search_api.basemap import Basemap
from search_api.caller import Caller, address_of, caller_of, set_caller
from search_api.errors import problem
from search_api.instruments import Metrics
from search_api.keys import Key
from search_api.logs import audit, path_of
from search_api.page import page
from search_api.policies import PROBE, Policy, policy_of
from search_api.policies import Scope as KeyScope
from search_api.rate_limits import Limits
from search_api.sessions import Sessions

# Methods without side effects (RFC 9110, 9.2.1).
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Sec-Fetch headers of requests by other sites' pages that embed the response.
_OTHER_SITES, _EMBEDDING = frozenset({"cross-site", "same-site"}), frozenset({"no-cors", "cors"})
_NOT_BY_COOKIE = (
    "Origin: missing or from another site; a session cookie allows changes only from this server's page; other "
    "clients send "
    "the key as 'Authorization: Bearer KEY'"
)
# Names under these cannot be registered (RFC 6761).
_RESERVED_DOMAINS = (".localhost", ".invalid", ".test")


class AccessMiddleware:
    """Checks the key, the host, the origin and the limits of each request.

    401 without a key. Programs send the key as a bearer token or as a password. Browsers get the page, which asks for
    the key, and then send a session cookie. 403 with a key that lacks the route's scope. 429 beyond a limit, and after
    ten wrong keys within a minute.

    421 for a foreign host name on a server without keys. Otherwise, a web site could point its domain at this machine
    (DNS rebinding) and read the archive in a visitor's browser.

    403 for a request that changes something and comes from the page of another site, unless that origin is allowed.
    Such a page could not read the response, but it could save searches and waste resources. With a cookie, only the
    server's own page may make changes. 403 also for images and other resources embedded by other sites' pages.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        limits: Limits,
        metrics: Metrics,
        public_url: str | None = None,
        origins: Sequence[str] = (),
        basemap: Basemap | None = None,
        any_host: bool = False,
        sign_in: bool = True,
    ) -> None:
        self._basemap, self._limits, self._metrics = basemap, limits, metrics
        self._app, self._sessions, self._origins = app, sessions, frozenset(origins)
        self._public, self._any_host, self._sign_in = _parts(public_url or ""), any_host, sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = policy_of(scope["method"], scope["path"])
        if policy.work is PROBE:
            await self._app(scope, receive, send)
            return
        response = self._refusal(Request(scope), policy) or self._app
        await response(scope, receive, send)

    def _refusal(self, request: Request, policy: Policy) -> Response | None:
        """Return the error response for a request, or None if it may pass."""
        address = address_of(request.scope)
        set_caller(request.scope, Caller(address))
        changes = request.method not in _SAFE_METHODS
        if (changes and self._is_cross_site(request)) or self._is_embedded(request):
            origin = quoted(request.headers.get("origin") or request.headers.get("referer", ""))
            return problem(
                HTTPStatus.FORBIDDEN,
                f"Origin: found {origin}, which is another site; allow it with "
                "BANDSIGHT_CORS_ORIGINS; behind a proxy, set BANDSIGHT_PUBLIC_URL or BANDSIGHT_TRUSTED_PROXIES",
                request,
            )
        if self._sessions.keys.needs_key:
            refusal = self._refusal_by_key(request, policy, address, changes=changes)
        else:
            refusal = self._refusal_by_host(request)
        return refusal or self._refusal_by_limit(request, policy)

    def _refusal_by_host(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self._any_host or self._is_own_host(_parts(f"//{host}")):
            return None
        return problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"Host: found {quoted(host)}; a server without keys only responds to localhost and IP addresses; "
            "set BANDSIGHT_PUBLIC_URL to its name, or set a key",
            request,
        )

    def _refusal_by_limit(self, request: Request, policy: Policy) -> Response | None:
        caller = caller_of(request.scope)
        wait_s, limit = self._limits.wait_s(caller, policy.work.cost)
        if not wait_s:
            return None
        self._metrics.refused.labels("rate").inc()
        response = problem(HTTPStatus.TOO_MANY_REQUESTS, f"limit: {limit}; try again in {wait_s} seconds", request)
        response.headers["Retry-After"] = str(wait_s)
        return response

    def _refusal_by_key(self, request: Request, policy: Policy, address: str, *, changes: bool) -> Response | None:
        if policy.scope is None:
            return None
        found, sessions = key_in(request.headers.get("authorization", "")), self._sessions
        key = None if found is None else sessions.keys.find(found)
        wait_s = 0 if found is None else self._limits.wrong_keys.wait_s(address)
        if wait_s and (key is None or not self._limits.wrong_keys.knows(address, key.id)):
            self._metrics.refused.labels("key").inc()
            return too_many_wrong_keys(request, wait_s)
        if key is not None:
            self._limits.wrong_keys.remember(address, key.id)
            return self._pass_with(request, key, policy, address)
        key = sessions.key_of(request.cookies.get(sessions.cookie))
        if key is not None:
            if changes and not self._is_own_page(request):
                return problem(HTTPStatus.FORBIDDEN, _NOT_BY_COOKIE, request)
            return self._pass_with(request, key, policy, address)
        return self._ask(request, address, wrong=found is not None)

    def _ask(self, request: Request, address: str, *, wrong: bool) -> Response:
        """Return the response for a request without a valid key."""
        if wrong:
            self._limits.wrong_keys.count(address)
            audit("key.wrong", client=address, method=request.method, path=path_of(request.scope)[:200])
        self._metrics.refused.labels("key").inc()
        if self._sign_in and _is_navigation(request):
            return self._ask_for_key(request.scope["path"], request.url.query)
        return _unauthorized(request, "another key" if wrong else "no key")

    def _pass_with(self, request: Request, key: Key, policy: Policy, address: str) -> Response | None:
        """Allow a key if it has the route's scope."""
        caller = Caller(
            address,
            key=key.name,
            scopes=frozenset(one for one in KeyScope if key.allows(one)),
            rate_per_minute=key.rate_per_minute,
            quota_per_day=key.quota_per_day,
        )
        set_caller(request.scope, caller)
        if policy.scope is None or policy.scope in caller.scopes:
            return None
        self._metrics.refused.labels("key").inc()
        audit("key.forbidden", client=address, key=key.name, method=request.method, path=path_of(request.scope)[:200])
        return problem(HTTPStatus.FORBIDDEN, lacks_scope(key.name, policy.scope), request)

    def _ask_for_key(self, path: str, query: str) -> Response:
        """Return the sign-in page, or a redirect to it that returns to this path afterwards."""
        if path == "/":
            return page(sign_in=True, basemap=self._basemap)
        wanted = quote(f"{path.lstrip('/')}?{query}" if query else path.lstrip("/"), safe="")
        # Relative, because a proxy may serve this under an unknown prefix.
        root = "../" * (path.count("/") - 1) or "./"
        return RedirectResponse(f"{root}#next={wanted}", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    def _is_cross_site(self, request: Request) -> bool:
        """Return whether another site's page sent a request. Programs send neither header."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return False
        return not self._is_own_page(request)

    def _is_own_page(self, request: Request) -> bool:
        """Return whether this server's page or the browser's user sent a request."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        # Browsers send Sec-Fetch-Site only to https and localhost.
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

    def _is_embedded(self, request: Request) -> bool:
        """Return whether another site's page embeds the response, e.g. as an image."""
        headers = request.headers
        if headers.get("sec-fetch-site") not in _OTHER_SITES or headers.get("sec-fetch-mode") not in _EMBEDDING:
            return False
        if "*" in self._origins:
            return False
        page_of = _parts(headers.get("referer", ""))
        origin = headers.get("origin") or (f"{page_of.scheme}://{page_of.netloc}" if page_of else "")
        return origin not in self._origins


def lacks_scope(key: str, scope: KeyScope) -> str:
    """Return the message for a key that lacks a scope."""
    return f"key {key}: lacks the scope {scope} required for this request; ask the server's operator"


def too_many_wrong_keys(request: Request, wait_s: int) -> Response:
    """Return the response for an address that sent too many wrong keys."""
    response = problem(
        HTTPStatus.TOO_MANY_REQUESTS, f"key: too many wrong keys; try again in {wait_s} seconds", request
    )
    response.headers["Retry-After"] = str(wait_s)
    return response


def _unauthorized(request: Request, what: str) -> Response:
    response = problem(
        HTTPStatus.UNAUTHORIZED, f"Authorization: found {what}; need a key of this server as 'Bearer KEY'", request
    )
    # Programs send the bearer token; QGIS and GDAL can also send a password. For Basic, browsers would open a prompt on
    # top of the sign-in page.
    response.headers["WWW-Authenticate"] = 'Bearer realm="bandsight"'
    if not _is_browser(request):
        response.headers.append("WWW-Authenticate", 'Basic realm="bandsight", charset="UTF-8"')
    return response


def _parts(url: str) -> SplitResult | None:
    """Split a URL, or return None if it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _is_navigation(request: Request) -> bool:
    """Return whether a browser navigates to a page, rather than loading a resource."""
    mode = request.headers.get("sec-fetch-mode", "navigate")
    return request.method == "GET" and mode == "navigate" and "text/html" in request.headers.get("accept", "")


def _is_browser(request: Request) -> bool:
    """Return whether a request comes from a web page. Browsers send no Sec-Fetch headers to hosts without https."""
    return any(name in request.headers for name in ("sec-fetch-mode", "origin", "referer"))


def key_in(header: str) -> bytes | None:
    """Return the key in an Authorization header, or None if it has none."""
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip().encode()
        case "basic":
            try:
                return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                # Headers are latin-1, base64 is ASCII.
                return None
        case _:
            return None
