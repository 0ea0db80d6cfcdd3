"""Where an archive's files are on S3-compatible storage, read from a URL."""

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
    """A prefix in a bucket, and how it is used."""

    bucket: str
    """Its name."""
    prefix: str
    """What the names of the archive's objects begin with, without slashes at its ends; may be empty."""
    endpoint: str | None = None
    """URL of the storage; None for `AWS_ENDPOINT_URL`, and without it for Amazon's own."""
    region: str | None = None
    """Region; None for `AWS_REGION`."""
    timeout_s: float = _NUMBERS["timeout_s"]
    """Longest wait for a request, its repetitions included."""
    cache_bytes: int = int(_NUMBERS["cache_gb"] * _GB)
    """Most bytes of files that a machine keeps."""
    keep_unnamed_s: float = _NUMBERS["keep_unnamed_s"]
    """Files that no commit names are deleted once they are so old: another machine may be about to name them."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME&timeout_s=30&cache_gb=20&keep_unnamed_s=3600`.

        Raises:
            ArchiveError: A part is missing or wrong.
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
            raise ArchiveError(f"files: found {', '.join(unknown)}; {FORM} takes {known}")
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
