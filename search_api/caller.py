"""The client of a request: address and key."""

import ipaddress
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope as AsgiScope

from search_api.policies import Scope

_SCOPE_KEY = "bandsight.caller"
# A customer usually has a whole network of this size.
_IPV6_PREFIX = 64
ANY = frozenset(Scope)
"""All scopes, for servers without keys."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The client of a request."""

    address: str
    """IPv4 address, or IPv6 network."""
    key: str | None = None
    """Name of the key; None without one."""
    scopes: frozenset[Scope] = ANY
    """Granted scopes."""
    rate_per_minute: int | None = None
    """Rate limit of the key; None for the server's."""
    quota_per_day: int | None = None
    """Quota of the key; None for no quota."""

    @property
    def id(self) -> str:
        """Id of the client. The same key at another address is another client."""
        return self.address if self.key is None else f"{self.key}@{self.address}"


def address_of(scope: AsgiScope) -> str:
    """Return the address of a client, or its network for IPv6."""
    client = scope.get("client")
    if not client:
        return ""
    host: str = client[0]
    if ":" not in host:
        return host
    try:
        ip = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))


def set_caller(scope: AsgiScope, caller: Caller) -> None:
    """Store the client with its request."""
    scope[_SCOPE_KEY] = caller


def caller_of(scope: AsgiScope) -> Caller:
    """Return the client of a request; without access control, only its address."""
    found: Caller | None = scope.get(_SCOPE_KEY)
    return found or Caller(address_of(scope))


def caller_of_request(request: HTTPConnection) -> Caller:
    """Return the client of a request."""
    return caller_of(request.scope)
