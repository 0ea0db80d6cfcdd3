"""Sends alerts by e-mail, only via the configured SMTP server and to the configured addresses."""

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

from bandsight.alerts.sent import Sent
from bandsight.errors import QueryError

URL_VARIABLE, FROM_VARIABLE, ALLOW_VARIABLE = "BANDSIGHT_SMTP_URL", "BANDSIGHT_MAIL_FROM", "BANDSIGHT_MAIL_ALLOW"
MAX_ADDRESS_CHARS = 254
_PORTS = {"smtp": 587, "smtp+plain": 25, "smtps": 465}
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """E-mail configuration: server, sender and allowed recipients."""

    url: str = field(default="", repr=False)
    """`smtp://user:password@host:587` (STARTTLS), `smtps://…:465` (TLS), or `smtp+plain://host:25` (neither)."""
    sender: str = ""
    """Sender address."""
    allowed: tuple[str, ...] = ()
    """Allowed addresses (`ada@example.org`) and domains (`@example.org`), in lower case."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Mail":
        """Read the configuration from environment variables.

        Raises:
            QueryError: The settings are inconsistent.
        """
        url, sender = environment.get(URL_VARIABLE, ""), environment.get(FROM_VARIABLE, "")
        allowed = tuple(part.strip().lower() for part in environment.get(ALLOW_VARIABLE, "").split(",") if part.strip())
        if not url:
            return cls()
        if urlsplit(url).scheme not in _PORTS or not urlsplit(url).hostname:
            raise QueryError(f"{URL_VARIABLE}: need a URL like smtp://user:password@mail.example.org:587")
        if not _is_address(sender):
            raise QueryError(f"{FROM_VARIABLE}: found {sender!r}; need the sender address of alerts")
        if not allowed:
            raise QueryError(f"{ALLOW_VARIABLE}: not set; need the addresses or @domains that alerts may be sent to")
        return cls(url=url, sender=sender, allowed=allowed)

    def check(self, address: str) -> None:
        """Check that messages may be sent to an address.

        Raises:
            QueryError: The address is invalid or not allowed, or no server is configured.
        """
        if not _is_address(address):
            raise QueryError(f"email: found {address[:100]!r}; need one address, e.g. ada@example.org")
        if not self.url:
            raise QueryError(f"email: no mail server is configured; set {URL_VARIABLE}, or use a webhook or a feed")
        if not {address.lower(), "@" + address.lower().rpartition("@")[2]} & set(self.allowed):
            raise QueryError(f"email: {address} is not among the addresses and domains of {ALLOW_VARIABLE}")

    def send(self, address: str, subject: str, text: str, message_id: str) -> Sent:
        """Send a message and return the outcome.

        Args:
            address: The recipient.
            subject: The subject line.
            text: The body.
            message_id: Id of the message; stays the same on retries, so that mail programs show it once.
        """
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, address, " ".join(subject.split())
        message["Message-ID"], message["Date"] = f"<{message_id}@bandsight.invalid>", formatdate(usegmt=True)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            with self._connect(parts.scheme, host, port) as server:
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                server.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            answered = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
            return Sent(error=f"{host}: {type(error).__name__}: {str(error)[:200]}", answered=answered)
        return Sent()

    def _connect(self, scheme: str, host: str, port: int) -> smtplib.SMTP:
        if scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port, timeout=_TIMEOUT_S)
        if scheme == "smtp":
            server.starttls(context=ssl.create_default_context())
        return server


def _is_address(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    printable = text.isascii() and text.isprintable() and not set(text) & set(" ,;<>\"'()[]\\:")
    return bool(at and local and "." in domain.strip(".") and printable and len(text) <= MAX_ADDRESS_CHARS)
