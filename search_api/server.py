"""Runs the app, with connection limits, graceful shutdown, and several workers."""

import asyncio
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import State
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from search_api.app import Shared, create_app
from search_api.counters import SHARED_COUNTERS, Counters
from search_api.instruments import MULTIPROCESS_FOLDER
from search_api.logs import set_up_logging
from search_api.service import Service, freeze_gc
from search_api.settings import ApiSettings, is_trusted, trusted_networks
from search_api.several import ArchivesApp, app_of

_log = logging.getLogger(__name__)
# An address may use at most one in this many connections.
_SHARE = 2
_HEALTH_S = 300
_SWITCH_S = 0.0005
_SETTINGS = "BANDSIGHT_WORKER_SETTINGS"
_FILES_BESIDE = 200


class LimitedProtocol(H11Protocol):
    """A connection that is closed if request headers do not arrive in time, or the client does not read.

    If there are too many connections, the longest idle one is closed. A new connection is rejected only if all others
    are active.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection, and make room for it."""
        super().connection_made(transport)
        self._settings = cast("ServerConfig", self.config).settings
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        if not self._make_room():
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive bytes. The time limit ends once the request's headers are complete."""
        if self._is_idle and self._head_timer is None:
            self._expect_head()
        super().data_received(data)
        if not self._is_idle:
            self._cancel_head()

    def on_response_complete(self) -> None:
        """Start waiting for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the time limit for a slow client."""
        super().pause_writing()
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self._settings.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the time limit for a slow client."""
        super().resume_writing()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    @property
    def _is_idle(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self._settings.head_timeout_s, self._head_late)

    def _head_late(self) -> None:
        self._head_timer = None
        if self._is_idle and not self.transport.is_closing():
            self.transport.abort()

    def _cancel_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cancel_timers(self) -> None:
        self._cancel_head()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _make_room(self) -> bool:
        """Close another connection if there are too many. Returns whether there is room now."""
        most = self._settings.max_connections
        others = [one for one in self.connections if isinstance(one, LimitedProtocol) and one is not self]
        if self.client and not is_trusted(self.client[0], cast("ServerConfig", self.config).trusted):
            own = [one for one in others if one.client and one.client[0] == self.client[0]]
            if len(own) >= max(1, most // _SHARE) and len(others) >= most // _SHARE:
                return _close_longest_idle(own)
        return len(others) < most or _close_longest_idle(others)


def _close_longest_idle(connections: list[LimitedProtocol]) -> bool:
    idle = [one for one in connections if one._is_idle and not one.transport.is_closing()]  # noqa: SLF001
    if not idle:
        _log.warning("connection rejected: all %d allowed connections are active", len(connections))
        return False
    oldest = min(idle, key=lambda one: one._since)  # noqa: SLF001
    oldest.connections.discard(oldest)
    oldest.transport.abort()
    return True


class ServerConfig(uvicorn.Config):
    """Configures uvicorn from the server's settings."""

    def __init__(self, app: Any, settings: ApiSettings, **more: Any) -> None:
        self.settings, self.trusted = settings, trusted_networks(settings.trusted_proxies)
        super().__init__(
            app,
            host=settings.host,
            port=settings.port,
            http=LimitedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.shutdown_s,
            timeout_worker_healthcheck=_HEALTH_S,
            reset_contextvars=True,
            **more,
        )


class Server(uvicorn.Server):
    """A server that keeps serving for a while after a signal to stop."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down. During the drain time, `/readyz` fails but other requests are still served."""
        config = cast("ServerConfig", self.config)
        states, drain_s = _states_of(config), config.settings.drain_s
        if not states or not drain_s or states[0].draining or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        for state in states:
            state.draining = True
        asyncio.get_running_loop().call_later(drain_s, super().handle_exit, sig, frame)


def _states_of(config: uvicorn.Config) -> list[State]:
    app = config.app if not isinstance(config.app, str) else _WORKER_APP[0] if _WORKER_APP else None
    return app.states if isinstance(app, ArchivesApp) else [app.state] if isinstance(app, FastAPI) else []


_WORKER_APP: list[ASGIApp] = []


def serve(settings: ApiSettings, service: Service | None) -> None:
    """Serve until a signal to stop.

    Args:
        settings: Checked settings.
        service: An open archive and model, which the caller closes; None to open the archive once it exists, or in each
            of several workers.
    """
    _prepare(settings)
    if settings.workers == 1:
        Server(ServerConfig(app_of(settings) if service is None else create_app(settings, service), settings)).run()
        return
    with _shared_folder():
        os.environ[_SETTINGS] = settings.model_dump_json(exclude={"key"}, exclude_unset=True)
        if settings.key is not None:
            os.environ["BANDSIGHT_KEY"] = settings.key.get_secret_value()
        config = ServerConfig("search_api.server:worker_app", settings, factory=True, workers=settings.workers)
        Multiprocess(config, sockets=[config.bind_socket()]).run()


def worker_app() -> ASGIApp:
    """Return the app of a worker process, with the settings of its parent process."""
    settings = ApiSettings.model_validate_json(os.environ[_SETTINGS])
    if key := os.environ.get("BANDSIGHT_KEY"):
        settings = ApiSettings(**settings.model_dump(exclude_unset=True, exclude={"key"}), key=key)  # type: ignore[arg-type]
    _prepare(settings)
    app = app_of(settings, Shared.create(settings, Counters(Path(os.environ[SHARED_COUNTERS]))))
    _WORKER_APP[:] = [app]
    freeze_gc()
    return app


def raise_file_limit() -> None:
    """Raise the limit of open files to the system's maximum, because shells often set a lower one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 16
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _prepare(settings: ApiSettings) -> None:
    """Configure this process."""
    raise_file_limit()
    # A search acquires the GIL many times; next to a CPU-bound thread, it waits this long each time.
    sys.setswitchinterval(_SWITCH_S)
    audit = None if settings.audit_file is None else str(settings.audit_file)
    set_up_logging(settings.log_format, settings.log_level, access_log=settings.access_log, audit_file=audit)


@contextmanager
def _shared_folder() -> Iterator[None]:
    """Create a folder for the metrics and the clients' limits that workers share."""
    folder = Path(tempfile.mkdtemp(prefix="bandsight-workers-"))
    os.environ[MULTIPROCESS_FOLDER], os.environ[SHARED_COUNTERS] = str(folder), str(folder / "counters")
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
