"""Settings of the server, from arguments or environment variables (`BANDSIGHT_…`)."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiSettings(BaseSettings):
    """Settings of one API process."""

    model_config = SettingsConfigDict(env_prefix="BANDSIGHT_", extra="ignore")

    archive: str | Path = "archive"
    """Archive to serve: a folder or a URL."""
    model: str | None = None
    """Model that encodes queries; the archive's model when None."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    host: str = "127.0.0.1"
    """Address to bind."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to bind."""
    key: SecretStr | None = None
    """Secret that clients send as a bearer token or password; required unless the address is loopback."""
    public_url: str | None = None
    """URL at which clients reach the server, e.g. https://example.org/bandsight; taken from each request when None."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded headers tell the client's address and the server's URL."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose web pages may use the API, e.g. that of a STAC browser."""
    basemap_url: str | None = None
    """Background map of the page: an XYZ URL with {z}, {x} and {y}, or a WMS URL with its layers; offline when None."""
    basemap_attribution: str = ""
    """Who made the background map, shown on it."""
    max_upload_bytes: int = Field(default=20 * 2**20, gt=0)
    """Largest query image, bytes."""
    max_pixels: int = Field(default=50_000_000, gt=0)
    """Largest query image, pixels."""
    max_decode_s: float = Field(default=10.0, gt=0)
    """Time limit for decoding a query image, s."""
    max_hits: int = Field(default=1000, gt=0)
    """Most hits per page."""
    recall_check_every: int = Field(default=500, ge=0)
    """One search in so many is repeated exactly in the background, to measure the recall that users get; 0 for none."""
