"""Sends signed events to webhooks, and only to public addresses or allowed ones."""

import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import httpx2

from bandsight.alerts.mail import Mail
from bandsight.errors import QueryError

ALLOW_VARIABLE = "BANDSIGHT_WEBHOOK_ALLOW"
MAX_URL_CHARS = 2000
_TIMEOUT = httpx2.Timeout(10.0)
_PORTS = {"http": 80, "https": 443}
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host name."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host name, as the system resolves it."""
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A webhook whose address has been checked."""

    url: SplitResult
    """As it was given."""
    host: str
    """Its host name, in lower case."""
    port: int
    """Its port."""
    address: str
    """The address to connect to: what was checked, so that the name cannot point elsewhere a moment later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where alerts may be sent."""

    allowed: tuple[str, ...] = ()
    """Host names, addresses and networks (CIDR) beyond public ones, from the setting `BANDSIGHT_WEBHOOK_ALLOW`."""
    resolve: Resolve = resolve
    """Resolves host names."""
    mail: Mail = field(default_factory=Mail)
    """How e-mail is sent, and to whom."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], allow: str | None = None) -> "Targets":
        """Return what the settings allow.

        Args:
            environment: Has the settings.
            allow: Names, addresses and networks separated by commas, instead of those of the setting.

        Raises:
            QueryError: The settings for e-mail contradict each other.
        """
        text = environment.get(ALLOW_VARIABLE, "") if allow is None else allow
        allowed = tuple(part.strip().lower() for part in text.split(",") if part.strip())
        return cls(allowed=allowed, mail=Mail.of_environment(environment))

    def check(self, url: str) -> Target:
        """Return a webhook's address.

        Raises:
            QueryError: The URL cannot be used, its host is unknown, or one of its addresses is not public.
        """
        if len(url) > MAX_URL_CHARS:
            raise QueryError(f"webhook: its URL has {len(url)} characters; at most {MAX_URL_CHARS} are allowed")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise QueryError(
                f"webhook: found {url[:100]!r} ({error}); need a URL like https://example.org/hook"
            ) from error
        if parts.scheme not in _PORTS or not host or parts.username is not None or parts.fragment:
            raise QueryError(
                f"webhook: found {url[:100]!r}; need a URL like https://example.org/hook, without user name or fragment"
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
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        actual = found if mapped is None else mapped
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


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of an event: HMAC-SHA256 of id, time and body, as Standard Webhooks has it."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def send(http: httpx2.Client, target: Target, body: bytes, headers: Mapping[str, str]) -> str:
    """Send an event to a checked address; return an empty text when it was taken, else why not.

    Redirects are not followed: they could lead to an address that was not checked.
    """
    address = f"[{target.address}]" if ":" in target.address else target.address
    url = target.url._replace(netloc=f"{address}:{target.port}").geturl()
    named = target.host if target.port == _PORTS[target.url.scheme] else f"{target.host}:{target.port}"
    try:
        answer = http.request(
            "POST",
            url,
            content=body,
            headers={**headers, "Host": named},
            extensions={"sni_hostname": target.host},
            timeout=_TIMEOUT,
            follow_redirects=False,
        )
    except httpx2.HTTPError as error:
        return f"{target.host}: {type(error).__name__}: {str(error)[:200]}"
    if answer.is_success:
        return ""
    return f"{target.host}: answered {answer.status_code}"
