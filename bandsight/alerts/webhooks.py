"""Sends signed events to webhooks, only at public or explicitly allowed addresses."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import SplitResult, urlsplit

import httpx2

from bandsight.alerts.mail import Mail
from bandsight.alerts.sent import Sent
from bandsight.errors import QueryError

ALLOW_VARIABLE = "BANDSIGHT_WEBHOOK_ALLOW"
MAX_URL_CHARS = 2000
_TIMEOUT = httpx2.Timeout(10.0)
DEADLINE_S = 15.0
"""Maximum duration of a request, s; a receiver that sends one byte at a time would never exceed the timeout above."""
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Resolves a host name to addresses."""


def resolve(host: str, port: int) -> list[str]:
    """Resolve a host name with the system's resolver."""
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A webhook with a checked address."""

    url: SplitResult
    """The URL."""
    host: str
    """Host name, in lower case."""
    port: int
    """Port."""
    address: str
    """The checked address to connect to; prevents DNS rebinding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where alerts may be sent."""

    allowed: tuple[str, ...] = ()
    """Host names, addresses and networks (CIDR) allowed besides public ones (`BANDSIGHT_WEBHOOK_ALLOW`)."""
    resolve: Resolve = resolve
    """Resolves host names."""
    mail: Mail = field(default_factory=Mail)
    """E-mail configuration."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], allow: str | None = None) -> "Targets":
        """Read the targets from environment variables.

        Args:
            environment: Environment variables.
            allow: Names, addresses and networks separated by commas; overrides the variable.

        Raises:
            QueryError: The e-mail settings are inconsistent.
        """
        text = environment.get(ALLOW_VARIABLE, "") if allow is None else allow
        allowed = tuple(part.strip().lower() for part in text.split(",") if part.strip())
        return cls(allowed=allowed, mail=Mail.of_environment(environment))

    def check(self, url: str) -> Target:
        """Check a webhook's URL and return its target.

        Raises:
            QueryError: The URL is invalid, its host is unknown, or one of its addresses is not allowed.
        """
        if len(url) > MAX_URL_CHARS:
            raise QueryError(f"webhook: the URL has {len(url)} characters; at most {MAX_URL_CHARS} are allowed")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise QueryError(
                f"webhook: found {url[:100]!r} ({error}); need a URL like https://example.org/hook"
            ) from error
        if parts.scheme not in _PORTS or not host or parts.username is not None or parts.fragment:
            raise QueryError(
                f"webhook: found {url[:100]!r}; need a URL like https://example.org/hook, without credentials or "
                "fragment"
            )
        try:
            addresses = self.resolve(host, port)
        except OSError as error:
            raise QueryError(
                f"webhook: the host {host} cannot be found ({error.strerror or error}); check the name"
            ) from error
        for address in addresses:
            if not self._may_reach(host, address):
                raise QueryError(
                    f"webhook: {host} is at {address}, which is not a public address; to allow it, set "
                    f"{ALLOW_VARIABLE}={host}"
                )
        if not addresses:
            raise QueryError(f"webhook: the host {host} has no address; check the name")
        return Target(url=parts, host=host, port=port, address=addresses[0])

    def _may_reach(self, host: str, address: str) -> bool:
        actual = _actual(ipaddress.ip_address(address.partition("%")[0]))
        if host in self.allowed or any(actual in network for network in self._networks()):
            return True
        return actual.is_global and not actual.is_multicast

    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        made = []
        for one in self.allowed:
            try:
                made.append(ipaddress.ip_network(one, strict=False))
            except ValueError:
                continue
        return made


def _actual(found: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of an event as in Standard Webhooks: HMAC-SHA256 of id, timestamp and body."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


async def send(target: Target, body: bytes, headers: Mapping[str, str]) -> Sent:
    """Send an event to a checked address and return the outcome.

    Redirects are not followed, because they could lead to an unchecked address. The body of the response is not read.
    """
    address = f"[{target.address}]" if ":" in target.address else target.address
    url = target.url._replace(netloc=f"{address}:{target.port}").geturl()
    named = target.host if target.port == _PORTS[target.url.scheme] else f"{target.host}:{target.port}"
    try:
        async with (
            asyncio.timeout(DEADLINE_S),
            httpx2.AsyncClient(trust_env=False, verify=_certificates(), follow_redirects=False) as http,
            http.stream(
                "POST",
                url,
                content=body,
                headers={**headers, "Host": named},
                extensions={"sni_hostname": target.host},
                timeout=_TIMEOUT,
            ) as response,
        ):
            error = "" if response.is_success else f"{target.host}: HTTP status {response.status_code}"
            return Sent(error=error)
    except TimeoutError:
        return Sent(error=f"{target.host}: no response within {DEADLINE_S:g} s", answered=False)
    except httpx2.HTTPError as error:
        return Sent(error=f"{target.host}: {type(error).__name__}: {str(error)[:200]}", answered=False)


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()
