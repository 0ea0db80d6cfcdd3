"""Access control: keys and their scopes, limits; without keys, this machine only, and no web pages of other sites."""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from search_api.logs import audit
from search_api.page import page
from search_api.policies import PROBE, Policy, policy_of
from search_api.policies import Scope as KeyScope
from search_api.rate_limits import Quota, RateLimit, WrongKeyLimit
from search_api.sessions import Sessions

# Methods without side effects (RFC 9110, 9.2.1).
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Sec-Fetch headers of a request that another site's page makes to show or run the response.
_OTHER_SITES, _EMBEDDING = frozenset({"cross-site", "same-site"}), frozenset({"no-cors", "cors"})
_NOT_BY_COOKIE = (
    "Origin: found none of this server's page; a session cookie allows changes to that page only; other clients send "
    "the key as 'Authorization: Bearer KEY'"
)
# Names under these cannot be registered (RFC 6761).
_RESERVED_DOMAINS = (".localhost", ".invalid", ".test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients have used, and what they may use."""

    per_minute: int
    """Units of work of an address; 0 for no limit."""
    shares: int = 1
    """Processes between which limits are divided."""
    addresses: RateLimit = field(default_factory=RateLimit)
    keys: RateLimit = field(default_factory=RateLimit)
    quota: Quota = field(default_factory=Quota)
    wrong_keys: WrongKeyLimit = field(default_factory=WrongKeyLimit)

    def wait_s(self, caller: Caller, policy: Policy) -> tuple[int, str]:
        """Count a request; return in how many seconds it may be sent again, 0 where it may now, and which limit."""
        cost = policy.work.cost
        if not cost:
            return 0, ""
        rate, own = self.per_minute, caller.rate_per_minute
        if rate and (wait := self.addresses.spend(caller.address, cost, self._share(rate))):
            return wait, f"this server answers {rate:,} units of work per minute and address"
        if caller.key is not None and own and (wait := self.keys.spend(caller.key, cost, self._share(own))):
            return wait, f"the key {caller.key} has {own:,} units of work per minute"
        quota = caller.quota_per_day
        if caller.key is not None and quota and (wait := self.quota.spend(caller.key, self._share(quota))):
            return wait, f"the key {caller.key} has {quota:,} requests per day"
        return 0, ""

    def _share(self, limit: int) -> int:
        return max(1, limit // self.shares)


class AccessMiddleware:
    """Checks the key, the host, the origin and the limits of each request.

    401 without a key. Programs send the key as a bearer token or as a password. Browsers get the page, which asks for
    the key, and then send a session cookie. 403 with a key that lacks the route's scope. 429 beyond a limit, and after
    ten wrong keys within a minute.

    421 for a foreign host name on a server without keys. A web page could point its own domain at this machine (DNS
    rebinding) and read the archive in a visitor's browser.

    403 for a request that changes something and comes from the page of another site, unless that origin is allowed.
    Such a page could not read the response, but it could register searches and use up time. The cookie allows changes
    to the server's own page only. 403 also for images and other parts that the page of another site embeds.
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
    ) -> None:
        self._basemap, self._limits, self._metrics = basemap, limits, metrics
        self._app, self._sessions, self._origins = app, sessions, frozenset(origins)
        self._public, self._any_host = _parts(public_url or ""), any_host

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
        """Return the error response to a request, None where it may pass."""
        address = address_of(request.scope)
        set_caller(request.scope, Caller(address))
        changes = request.method not in _SAFE_METHODS
        if (changes and self._is_cross_site(request)) or self._is_embedded(request):
            origin = quoted(request.headers.get("origin") or request.headers.get("referer", ""))
            return problem(
                HTTPStatus.FORBIDDEN,
                f"Origin: found {origin}, which is not this server's page; allow other origins with "
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
            f"Host: found {quoted(host)}; a server without a key responds to localhost and IP addresses only; "
            "set BANDSIGHT_PUBLIC_URL to its name, or set a key",
            request,
        )

    def _refusal_by_limit(self, request: Request, policy: Policy) -> Response | None:
        caller = caller_of(request.scope)
        wait_s, limit = self._limits.wait_s(caller, policy)
        if not wait_s:
            return None
        self._metrics.refused.labels("rate").inc()
        response = problem(HTTPStatus.TOO_MANY_REQUESTS, f"limit: {limit}; try again in {wait_s} seconds", request)
        response.headers["Retry-After"] = str(wait_s)
        return response

    def _refusal_by_key(self, request: Request, policy: Policy, address: str, *, changes: bool) -> Response | None:
        if policy.scope is None:
            return None
        found, sessions = _key(request.headers.get("authorization", "")), self._sessions
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
        """Return the response to a request without a valid key."""
        if wrong:
            self._limits.wrong_keys.count(address)
            audit("key.wrong", client=address, method=request.method, path=request.url.path[:200])
        self._metrics.refused.labels("key").inc()
        if _is_navigation(request):
            return self._ask_for_key(request.scope["path"], request.url.query)
        return _unauthorized(request, "another key" if wrong else "no key")

    def _pass_with(self, request: Request, key: Key, policy: Policy, address: str) -> Response | None:
        """Let a key pass whose scopes include the route's."""
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
        audit("key.forbidden", client=address, key=key.name, method=request.method, path=request.url.path[:200])
        return problem(HTTPStatus.FORBIDDEN, lacks_scope(key.name, policy.scope), request)

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

    def _is_embedded(self, request: Request) -> bool:
        """Return whether the page of another site embeds a response, e.g. as an image. Browsers say so."""
        headers = request.headers
        if headers.get("sec-fetch-site") not in _OTHER_SITES or headers.get("sec-fetch-mode") not in _EMBEDDING:
            return False
        if "*" in self._origins:
            return False
        page_of = _parts(headers.get("referer", ""))
        origin = headers.get("origin") or (f"{page_of.scheme}://{page_of.netloc}" if page_of else "")
        return origin not in self._origins


def lacks_scope(key: str, scope: KeyScope) -> str:
    """Return the message to a key without a scope."""
    return f"key {key}: it lacks the scope {scope}, which this request needs; ask the server's operator for it"


def too_many_wrong_keys(request: Request, wait_s: int) -> Response:
    """Return the response to an address that has sent too many wrong keys."""
    response = problem(
        HTTPStatus.TOO_MANY_REQUESTS, f"key: too many wrong keys; try again in {wait_s} seconds", request
    )
    response.headers["Retry-After"] = str(wait_s)
    return response


def _unauthorized(request: Request, what: str) -> Response:
    response = problem(
        HTTPStatus.UNAUTHORIZED, f"Authorization: found {what}; need a key of this server as 'Bearer KEY'", request
    )
    # Programs send the bearer token; QGIS and GDAL can also send a password. Browsers would open a prompt of their
    # own for Basic, over the page that asks for the key.
    response.headers["WWW-Authenticate"] = 'Bearer realm="bandsight"'
    if not _is_browser(request):
        response.headers.append("WWW-Authenticate", 'Basic realm="bandsight", charset="UTF-8"')
    return response


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
            except (binascii.Error, ValueError):
                # Headers are latin-1, base64 is ASCII.
                return None
        case _:
            return None
