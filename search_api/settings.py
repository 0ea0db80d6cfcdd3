"""What an operator can set, from arguments or the environment (`BANDSIGHT_…`)."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiSettings(BaseSettings):
    """Settings of one API process."""

    model_config = SettingsConfigDict(env_prefix="BANDSIGHT_", extra="ignore")

    archive: Path = Path("archive")
    """Folder of the archive to serve."""
    model: str | None = None
    """Model that encodes queries; None for the archive's own."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    host: str = "127.0.0.1"
    """Address to bind."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to bind."""
    key: SecretStr | None = None
    """What clients must send, as a bearer token or a password; needed beyond loopback."""
    public_url: str | None = None
    """How clients reach the server, e.g. https://example.org/bandsight; None for what each request says."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may ask, e.g. of a STAC browser."""
    max_upload_bytes: int = Field(default=20 * 2**20, gt=0)
    """Largest query image, bytes."""
    max_pixels: int = Field(default=50_000_000, gt=0)
    """Largest query image, pixels."""
    max_decode_s: float = Field(default=10.0, gt=0)
    """Longest time that decoding a query image may take, s."""
    max_hits: int = Field(default=1000, gt=0)
    """Most hits in one answer."""
