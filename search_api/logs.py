"""Logging: text or JSON, one line per event, with repeated lines collapsed."""

import json
import logging
import logging.handlers
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
REQUEST_ID: ContextVar[str] = ContextVar("bandsight_request_id", default="")
"""Id of the current request."""
ACCESS, AUDIT = "bandsight.access", "bandsight.audit"
"""Names of the access and audit loggers."""
_FIELDS = "fields"
# Within a window, only the first lines of a kind are written; the rest are counted.
_WINDOW_S, _FIRST_LINES, _MAX_KINDS = 10.0, 5, 1000
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def clean(text: str) -> str:
    """Escape control characters, so that a text stays on its line and cannot control a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class LineFormatter(logging.Formatter):
    """Formats records as single lines of text or JSON; fields are passed as `extra={"fields": {…}}`."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, including any traceback."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: dict[str, Any] = getattr(record, _FIELDS, {})
        message, request = record.getMessage(), REQUEST_ID.get()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._form == "json":
            line = {"time": when, "level": record.levelname.lower(), "logger": record.name}
            line |= {"message": message} if message else {}
            line |= {"request": request} if request and "id" not in fields else {}
            line |= fields | ({"traceback": trace} if trace else {})
            return json.dumps(line, default=str)
        parts = [when, record.levelname.lower(), *([message] if message else [])]
        parts += [f"{name}={_plain(value)}" for name, value in fields.items()]
        if request and "id" not in fields:
            parts.append(f"request={request}")
        # Indent the lines of tracebacks, so that they cannot be mistaken for events.
        lines = [" ".join(parts), *(f"  {line}" for line in trace.split("\n") if trace)]
        return "\n".join(clean(line) for line in lines)


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text) if re.search(r"[\s\"=]", text) or not text else text


class CollapseFilter(logging.Filter):
    """Passes only the first lines of a kind within ten seconds, and reports how many were dropped.

    Lines with the same logger, level and template are of one kind. Access and audit lines always pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._lock = clock, threading.Lock()
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a line."""
        if record.name in {ACCESS, AUDIT}:
            return True
        kind, now = (record.name, record.levelno, str(record.msg)[:200]), self._clock()
        with self._lock:
            since, count = self._seen.get(kind, (now, 0))
            left_out = max(0, count - _FIRST_LINES)
            if now - since >= _WINDOW_S:
                since, count = now, 0
                if left_out:
                    record.msg = f"{record.getMessage()} (and {left_out} similar lines)"
                    record.args = ()
            if kind not in self._seen and len(self._seen) >= _MAX_KINDS:
                self._seen.clear()
            self._seen[kind] = since, count + 1
        return count < _FIRST_LINES


def set_up_logging(form: LogFormat, level: LogLevel, *, access_log: bool, audit_file: str | None = None) -> None:
    """Write the logs of this process to standard error, and the audit log to its file.

    Args:
        form: Format of the lines.
        level: Minimum level of application logs.
        access_log: Whether to log each request.
        audit_file: File of the audit log, always JSON; None for standard error.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form))
    handler.addFilter(CollapseFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, root.level))
    access, audit = logging.getLogger(ACCESS), logging.getLogger(AUDIT)
    access.setLevel(logging.INFO if access_log else logging.CRITICAL)
    access.handlers[:], access.propagate = [handler], False
    audit.setLevel(logging.INFO)
    audit.handlers[:], audit.propagate = [handler], False
    if audit_file is not None:
        audit_to(audit_file)


def audit_to(file: str) -> None:
    """Append the audit log to a file, shared by workers and commands. A rotated file is reopened."""
    logger, handler = logging.getLogger(AUDIT), logging.handlers.WatchedFileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(LineFormatter("json"))
    for previous in logger.handlers:
        if isinstance(previous, logging.FileHandler):
            previous.close()
    logger.handlers[:], logger.propagate = [handler], False
    logger.setLevel(logging.INFO)


def audit(event: str, **fields: Any) -> None:
    """Write a line to the audit log: actor, action and outcome."""
    logging.getLogger(AUDIT).info("%s", event, extra={_FIELDS: {"event": event, **fields}})


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of a request for logs, with the name of its archive if the server has several."""
    archive, path = scope.get("bandsight.archive"), str(scope["path"])
    return path if archive is None else f"/{archive}{path}"


def access_line(**fields: Any) -> None:
    """Write the access log line of a request."""
    logger = logging.getLogger(ACCESS)
    if logger.isEnabledFor(logging.INFO):
        logger.info("", extra={_FIELDS: fields})
