"""The location of an archive's files on S3-compatible storage, parsed from a URL."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from bandsight.errors import ArchiveError

FORM = "s3://BUCKET/PREFIX?endpoint=https://HOST"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")
_NUMBERS = {"timeout_s": 30.0, "cache_gb": 20.0, "keep_unnamed_s": 3600.0}
_GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A prefix in a bucket, with its settings."""

    bucket: str
    """Name of the bucket."""
    prefix: str
    """Prefix of the archive's object names, without leading or trailing slashes; may be empty."""
    endpoint: str | None = None
    """URL of the storage; None for `AWS_ENDPOINT_URL` or, if that is not set, Amazon S3."""
    region: str | None = None
    """Region, or None for `AWS_REGION`."""
    timeout_s: float = _NUMBERS["timeout_s"]
    """Timeout of a request including retries, seconds."""
    cache_bytes: int = int(_NUMBERS["cache_gb"] * _GB)
    """Maximum size of the local cache, bytes."""
    keep_unnamed_s: float = _NUMBERS["keep_unnamed_s"]
    """Age at which unreferenced files are deleted, seconds; a machine may be about to commit younger ones."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse `s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME&timeout_s=30&cache_gb=20&keep_unnamed_s=3600`.

        Raises:
            ArchiveError: A part is missing or invalid.
        """
        try:
            parts = urlsplit(url)
            address = parts.username, parts.password, parts.port
        except ValueError as error:
            raise ArchiveError(f"files: {error}; need {FORM}") from error
        if any(address):
            raise ArchiveError(
                "files: found a user, a password or a port before the bucket; need "
                f"{FORM}, and the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if parts.scheme != "s3" or parts.fragment:
            raise ArchiveError(f"files {url}: need {FORM}")
        prefix = parts.path.strip("/")
        if not _BUCKET.fullmatch(parts.netloc):
            raise ArchiveError(
                f"files: found the bucket {parts.netloc!r}; need 3 to 63 lowercase letters, digits, . and -"
            )
        if not _PREFIX.fullmatch(prefix) or {"", ".", ".."} & set(prefix.split("/")[1:]):
            raise ArchiveError(
                f"files: found the prefix {prefix!r}; need letters, digits and -_. between single slashes"
            )
        options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if unknown := sorted(set(options) - {"endpoint", "region", *_NUMBERS}):
            known = ", ".join(["endpoint", "region", *_NUMBERS])
            raise ArchiveError(f"files: unknown parameters {', '.join(unknown)}; allowed are {known}")
        endpoint = options.get("endpoint")
        if endpoint is not None and not re.fullmatch(r"https?://[^/?#@]+/?", endpoint):
            raise ArchiveError(f"files: endpoint={endpoint}: need https://HOST or http://HOST:PORT")
        numbers = {name: _number(name, options.get(name, f"{default:g}")) for name, default in _NUMBERS.items()}
        return cls(
            bucket=parts.netloc,
            prefix=prefix,
            endpoint=endpoint and endpoint.rstrip("/"),
            region=options.get("region"),
            timeout_s=numbers["timeout_s"],
            cache_bytes=int(numbers["cache_gb"] * _GB),
            keep_unnamed_s=numbers["keep_unnamed_s"],
        )

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ArchiveError(f"files: {name}={text}: need a number") from error
    least = 0 if name == "keep_unnamed_s" else 1e-9
    if not least <= value < float("inf"):
        raise ArchiveError(f"files: {name}={text}: need {'0 or more' if not least else 'more than 0'}")
    return value
