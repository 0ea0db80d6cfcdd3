"""Server settings, from arguments or environment variables (`BANDSIGHT_…`), one class per concern."""

import ipaddress
import os
import re
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bandsight.alerts.webhooks import Targets
from bandsight.errors import QueryError, SettingsError
from search_api.basemap import basemap_of
from search_api.policies import WORKS
from search_api.tracing import check_tracing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Shorter keys could be brute-forced.
_MIN_KEY_CHARS = 16
_MB = 2**20
# File descriptors for the archive, the model, pipes and others.
_OTHER_FILES = 200
_DEFAULT_RATE = 6000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# Routes of a server with several archives.
_RESERVED_NAMES = frozenset({"healthz", "readyz", "startupz", "metrics"})


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="BANDSIGHT_", extra="ignore")


class ArchiveSettings(_Settings):
    """Archive and model."""

    archive: str | Path = "archive"
    """Archive to serve: a folder or a URL."""
    archives: dict[str, str] = {}
    """Several archives instead, e.g. `{"alps": "/data/alps"}`: each is served under /NAME/, with its own keys."""
    model: str | None = None
    """Model that encodes queries; default: the model of the archive."""
    device: str = "auto"
    """Device of the model: auto, cpu, cuda or cuda:N."""
    recall_check_every: int = Field(default=500, ge=0)
    """Repeat one in this many searches exactly in the background, to measure the recall that users get; 0 turns this
    off."""


class AddressSettings(_Settings):
    """Address of the server."""

    host: str = "127.0.0.1"
    """Address to bind."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to bind."""
    workers: int = Field(default=1, ge=1, le=64)
    """Number of worker processes; each loads the model."""
    public_url: str | None = None
    """Public URL of the server, e.g. https://example.org/bandsight; default: taken from each request."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded headers are trusted for the client's address and the server's
    URL."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose web pages may use the API, e.g. the origin of a STAC browser."""


class AccessSettings(_Settings):
    """Access."""

    key: SecretStr | None = None
    """A key that allows everything, sent as a bearer token or password; at least 16 characters."""
    keys_file: Path | None = None
    """File with more keys, see `bandsight keys`; default: keys.json in the archive's folder."""
    allow_anonymous: bool = False
    """Listen on other addresses than localhost without a key, e.g. behind a proxy that authenticates users."""
    rate_per_minute: int | None = Field(default=None, ge=0)
    """Units of work per minute and address (a list 1, a search 2, a map or an export 10), 0 for no limit; default: no
    limit on loopback addresses and 6,000 elsewhere."""
    audit_file: Path | None = None
    """File for the audit log of sign-ins, rejected keys and changes; default: standard error."""

    @property
    def rate(self) -> int:
        """Units of work per minute and address; 0 for no limit."""
        if self.rate_per_minute is not None:
            return self.rate_per_minute
        return 0 if is_loopback(getattr(self, "host", "")) else _DEFAULT_RATE


class RequestSettings(_Settings):
    """Limits of one request, each for the request as a whole."""

    max_hits: int = Field(default=1000, gt=0)
    """Maximum number of hits per page."""
    max_sentences: int = Field(default=256, gt=0)
    """Maximum number of sentences."""
    max_characters: int = Field(default=64_000, gt=0)
    """Maximum number of characters in all sentences."""
    max_values: int = Field(default=50_000, gt=0)
    """Maximum number of numbers, names and other values in a JSON body."""
    max_vertices: int = Field(default=20_000, gt=0)
    """Maximum number of vertices in all geometries."""
    max_pictures: int = Field(default=8, gt=0)
    """Maximum number of images."""
    max_upload_bytes: int = Field(default=20 * _MB, gt=0)
    """Maximum size of all images in bytes."""
    max_pixels: int = Field(default=50_000_000, gt=0)
    """Maximum number of pixels of an image."""
    max_decode_s: float = Field(default=10.0, gt=0)
    """Time limit for decoding all images, s."""


class QueueSettings(_Settings):
    """Sharing the machine between requests."""

    memory_mb: int = Field(default=1024, gt=0)
    """Memory that requests can reserve at the same time, MB."""
    body_memory_mb: int = Field(default=256, gt=0)
    """Memory for request bodies, MB; one client can use half of it."""
    max_waiting: int = Field(default=256, gt=0)
    """Maximum number of requests that wait for one kind of work; more get a 503."""
    max_waiting_per_client: int = Field(default=64, gt=0)
    """Maximum number of waiting requests per client; more get a 429."""
    queue_wait_s: float = Field(default=15.0, gt=0)
    """Maximum wait of a request before it gets a 503, s."""


class ConnectionSettings(_Settings):
    """Connections and time limits."""

    max_connections: int = Field(default=800, gt=0)
    """Maximum number of open connections per process; beyond that, the connections that have been idle longest are
    closed."""
    head_timeout_s: float = Field(default=10.0, gt=0)
    """Time limit for the head of a request, s."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """Time limit for the body of a request, s."""
    send_timeout_s: float = Field(default=60.0, gt=0)
    """Time without progress after which a response is aborted, s."""
    keep_alive_s: int = Field(default=15, gt=0)
    """How long an idle connection stays open, s; set it higher than the limit of a proxy to avoid errors there."""
    drain_s: float = Field(default=0.0, ge=0)
    """How long the server keeps answering after a stop signal, s; `/readyz` fails, so that load balancers stop sending
    requests."""
    shutdown_s: int = Field(default=30, gt=0)
    """Time limit for running requests after that, s."""


class LogSettings(_Settings):
    """Logging."""

    log_format: Literal["text", "json"] = "text"
    """Format of log lines: text or json."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Minimum level of application messages."""
    access_log: bool = False
    """Log each request."""
    traces: bool = False
    """Send OpenTelemetry traces of requests to where its own variables say, e.g. OTEL_EXPORTER_OTLP_ENDPOINT."""


class PageSettings(_Settings):
    """Web page."""

    basemap_url: str | None = None
    """Background map of the page: an XYZ URL with {z}, {x} and {y}, or a WMS URL with its layers; default: the built-in
    offline map."""
    basemap_attribution: str = ""
    """Attribution shown on the background map."""


class AlertSettings(_Settings):
    """Alerts."""

    deliver_alerts: bool = True
    """Send alerts to webhooks and e-mail addresses; false leaves this to `bandsight watch deliver`."""


class JobSettings(_Settings):
    """Jobs."""

    allow_writes: bool = False
    """Accept jobs over HTTP (GET /processes): index, remove, compact and others."""
    source_roots: tuple[str, ...] = ()
    """Folders and URLs from which jobs may read scenes and labelled images; none if empty."""
    run_jobs: bool = True
    """Run jobs in this server; false leaves them to `bandsight work`."""


CONCERNS: tuple[type[BaseSettings], ...] = (
    ArchiveSettings,
    AddressSettings,
    AccessSettings,
    RequestSettings,
    QueueSettings,
    ConnectionSettings,
    LogSettings,
    PageSettings,
    AlertSettings,
    JobSettings,
)


class ApiSettings(
    ArchiveSettings,
    AddressSettings,
    AccessSettings,
    RequestSettings,
    QueueSettings,
    ConnectionSettings,
    LogSettings,
    PageSettings,
    AlertSettings,
    JobSettings,
):
    """Settings of one API process."""


def load_settings(**values: Any) -> ApiSettings:
    """Return checked settings from arguments and the environment.

    Raises:
        SettingsError: Some are invalid; the message names all of them.
    """
    try:
        settings = ApiSettings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(one) for one in error.errors(include_url=False))) from None
    check_settings(settings)
    return settings


def check_settings(settings: ApiSettings) -> None:
    """Check the consistency of settings.

    Raises:
        SettingsError: Some contradict each other or are unsafe; the message names all of them, with advice.
    """
    checks = (_names, _exposure, _addresses, _sizes, _times, _roots)
    found = [message for check in checks for message in check(settings)]
    found += _mail() if settings.deliver_alerts else []
    found += check_tracing() if settings.traces else []
    if found:
        raise SettingsError("; ".join(found))


def trusted_networks(proxies: Sequence[str]) -> tuple[Network, ...]:
    """Parse addresses and networks of proxies.

    Args:
        proxies: Addresses (`127.0.0.1`) or networks (`172.16.0.0/12`).

    Raises:
        SettingsError: One is invalid.
    """
    try:
        return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
    except ValueError as error:
        raise SettingsError(
            f'BANDSIGHT_TRUSTED_PROXIES: {error}; need addresses or networks, e.g. \'["127.0.0.1", "172.16.0.0/12"]\''
        ) from None


def is_trusted(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address belongs to a trusted proxy."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def keys_path(settings: ApiSettings) -> Path:
    """Return the file of the server's keys."""
    from bandsight.archive.admin import KEYS_FILE
    from bandsight.archive.open import locate

    return settings.keys_file or locate(settings.archive).folder / KEYS_FILE


def settings_of(settings: ApiSettings, name: str) -> ApiSettings:
    """Return the settings of one of several archives."""
    url = settings.public_url
    own: dict[str, Any] = {
        "archive": settings.archives[name],
        "archives": {},
        "public_url": url and f"{url.rstrip('/')}/{name}",
    }
    return settings.model_copy(update=own)


def _names(settings: ApiSettings) -> list[str]:
    return [
        f"BANDSIGHT_ARCHIVES: found the name {name[:60]!r}; need lower-case letters, digits, - or _, and none of "
        f"{', '.join(sorted(_RESERVED_NAMES))}"
        for name in settings.archives
        if not _NAME.fullmatch(name) or name in _RESERVED_NAMES
    ]


def _exposure(settings: ApiSettings) -> list[str]:
    found = []
    if settings.key is not None and len(settings.key.get_secret_value()) < _MIN_KEY_CHARS:
        found.append(
            f"key: {len(settings.key.get_secret_value())} characters; need at least {_MIN_KEY_CHARS}, e.g. the output "
            "of 'openssl rand -hex 16'"
        )
    is_safe = is_loopback(settings.host) or settings.key is not None or settings.allow_anonymous
    each = [settings_of(settings, name) for name in settings.archives] or [settings]
    if not is_safe and not all(keys_path(one).exists() for one in each):
        open_to_all = next(one.archive for one in each if not keys_path(one).exists())
        found.append(
            f"host {settings.host}: anyone who can reach this address could search {open_to_all}; set BANDSIGHT_KEY to "
            "a secret that clients send as 'Authorization: Bearer …', create keys with 'bandsight keys add', listen on "
            "127.0.0.1, or set BANDSIGHT_ALLOW_ANONYMOUS=true"
        )
    return found


def _addresses(settings: ApiSettings) -> list[str]:
    found = []
    try:
        trusted_networks(settings.trusted_proxies)
    except SettingsError as error:
        found.append(str(error))
    urls = [("PUBLIC_URL", settings.public_url), *(("CORS_ORIGINS", url) for url in settings.cors_origins)]
    found += [
        f"BANDSIGHT_{name}: found {url[:100]!r}; need e.g. https://example.org"
        for name, url in urls
        if url is not None and url != "*" and not _is_url(url)
    ]
    try:
        basemap_of(settings.basemap_url, settings.basemap_attribution)
    except SettingsError as error:
        found.append(str(error))
    return found


def _sizes(settings: ApiSettings) -> list[str]:
    found = []
    largest = max(work.memory_bytes for work in WORKS) // _MB
    if settings.memory_mb < largest:
        found.append(
            f"BANDSIGHT_MEMORY_MB: found {settings.memory_mb}; a map may need {largest}, so set it to {largest} or more"
        )
    upload_mb = -(-2 * settings.max_upload_bytes // _MB) + 4
    if settings.body_memory_mb < upload_mb:
        found.append(
            f"BANDSIGHT_BODY_MEMORY_MB: found {settings.body_memory_mb}; half of it must hold an upload of "
            f"BANDSIGHT_MAX_UPLOAD_BYTES={settings.max_upload_bytes}, so set it to {upload_mb} or more"
        )
    if settings.max_waiting_per_client > settings.max_waiting:
        found.append(
            f"BANDSIGHT_MAX_WAITING_PER_CLIENT: found {settings.max_waiting_per_client}, more than "
            f"BANDSIGHT_MAX_WAITING={settings.max_waiting}; lower the former or raise the latter"
        )
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and settings.max_connections > files - _OTHER_FILES:
        found.append(
            f"BANDSIGHT_MAX_CONNECTIONS: found {settings.max_connections}; this process can open {files} files and "
            f"needs {_OTHER_FILES} for other purposes, so set at most {max(1, files - _OTHER_FILES)}, or raise "
            "'ulimit -n'"
        )
    return found


def _times(settings: ApiSettings) -> list[str]:
    found = []
    if settings.audit_file is not None and not settings.audit_file.absolute().parent.is_dir():
        found.append(f"BANDSIGHT_AUDIT_FILE: {settings.audit_file}: its folder does not exist; create it first")
    if settings.drain_s > settings.shutdown_s * 10:
        found.append(
            f"BANDSIGHT_DRAIN_S: found {settings.drain_s:g}; must be at most ten times BANDSIGHT_SHUTDOWN_S="
            f"{settings.shutdown_s}, so lower it"
        )
    return found


def _mail() -> list[str]:
    try:
        Targets.of_environment(os.environ)
    except QueryError as error:
        return [str(error)]
    return []


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _sentence(error: Any) -> str:
    name = "_".join(str(part) for part in error["loc"])
    message = str(error["msg"])
    secret = name == "key"
    found = "a value" if secret else f"{error.get('input')!r:.60}"
    return f"BANDSIGHT_{name.upper()}: found {found}; {message[:1].lower()}{message[1:]}"


def _roots(settings: ApiSettings) -> list[str]:
    return [
        f"BANDSIGHT_SOURCE_ROOTS: found {root!r}; need absolute paths or URLs, e.g. '[\"/data/scenes\"]'"
        for root in settings.source_roots
        if "://" not in root and not root.startswith("/")
    ]
