"""Signs Azure Blob Storage URLs with tokens from an endpoint such as the Planetary Computer's. Off by default.

`BANDSIGHT_SAS_TOKEN_URL` is the endpoint, e.g. https://planetarycomputer.microsoft.com/api/sas/v1/token.
`ENDPOINT/ACCOUNT/CONTAINER` must return JSON with `token` and its expiry time `msft:expiry`. `BANDSIGHT_SAS_HOST` names
a storage host other than Azure's, with URLs like https://HOST/ACCOUNT/CONTAINER/…, e.g. the Azurite emulator.
`PC_SDK_SUBSCRIPTION_KEY` is sent if set.
"""

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import Request, urlopen

from bandsight.errors import SceneError

_ENDPOINT, _HOST, _KEY = "BANDSIGHT_SAS_TOKEN_URL", "BANDSIGHT_SAS_HOST", "PC_SDK_SUBSCRIPTION_KEY"
_AZURE = ".blob.core.windows.net"
# Tokens are renewed this long before they expire, so that a read can finish.
_MARGIN = timedelta(minutes=5)
# Retry interval for containers that the endpoint does not know.
_UNKNOWN = timedelta(minutes=10)
_TIMEOUT_S = 30.0
_LONGEST_ANSWER = 1 << 20

_lock = threading.Lock()
_tokens: dict[tuple[str, str, str], tuple[str, datetime]] = {}


def signed(url: str) -> str:
    """Return a URL signed with a token that is valid for a few more minutes; other URLs unchanged.

    Raises:
        SceneError: The endpoint cannot be reached, or did not return a token.
    """
    endpoint = os.environ.get(_ENDPOINT)
    place = _container(url) if endpoint else None
    if not endpoint or place is None:
        return url
    base, _, query = url.partition("?")
    if "sig" in parse_qs(query) and not _expires_soon(query):
        return url
    token = _token(endpoint.rstrip("/"), *place)
    return f"{base}?{token}" if token else url


def _container(url: str) -> tuple[str, str] | None:
    """Return account and container of an Azure Blob Storage URL, or None for others."""
    parts = urlsplit(url)
    host, path = parts.netloc.lower(), parts.path.strip("/").split("/")
    if host.endswith(_AZURE) and len(path) > 1:
        return host.removesuffix(_AZURE), path[0]
    if host == os.environ.get(_HOST, "").lower() and host and len(path) > 2:  # noqa: PLR2004  (account, container, blob)
        return path[0], path[1]
    return None


def _expires_soon(query: str) -> bool:
    """Return whether a signature has expired or is about to, by its parameter `se`."""
    until = _time((parse_qs(query).get("se") or [""])[0])
    return until is not None and until < datetime.now(UTC) + _MARGIN


def _token(endpoint: str, account: str, container: str) -> str:
    """Return a token, from the cache or the endpoint; empty if the endpoint has none for the container."""
    key = endpoint, account, container
    with _lock:
        known = _tokens.get(key)
        if known is None or known[1] < datetime.now(UTC) + _MARGIN:
            known = _tokens[key] = _fetched(f"{endpoint}/{quote(account)}/{quote(container)}")
    return known[0]


def _fetched(url: str) -> tuple[str, datetime]:
    """Fetch a token and its expiry time."""
    advice = f"check {_ENDPOINT} and the network"
    if not url.startswith(("https://", "http://")):
        raise SceneError(f"{url}: not the URL of a token endpoint; {advice}")
    headers = {"Accept": "application/json"}
    if own := os.environ.get(_KEY):
        headers["Ocp-Apim-Subscription-Key"] = own
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S) as response:  # noqa: S310  (http and https only)
            said = json.loads(response.read(_LONGEST_ANSWER))
        token = str(said["token"]).lstrip("?")
    except HTTPError as error:
        if error.code == 404:  # noqa: PLR2004  (a container unknown to this endpoint; its files may be public)
            return "", datetime.now(UTC) + _MARGIN + _UNKNOWN
        raise SceneError(f"{url}: no token (HTTP {error.code}); {advice}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SceneError(f"{url}: no token ({error}); {advice}") from error
    until = _time(str(said.get("msft:expiry") or (parse_qs(token).get("se") or [""])[0]))
    return token, until or datetime.now(UTC) + 2 * _MARGIN


def _time(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
