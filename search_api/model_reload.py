"""Reopens the archive without a restart after it was reindexed with another model, replaced or restored."""

import logging
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from bandsight.errors import ArchiveReplacedError, BandsightError, ModelChangedError
from search_api.errors import problem
from search_api.service import Encoders, open_service
from search_api.settings import ApiSettings

_log = logging.getLogger(__name__)
# Loading a model takes seconds. After a failure, requests do not retry immediately.
_RETRY_S = 15.0


def add_reload(app: FastAPI, settings: ApiSettings, encoders: Encoders, forget: Callable[[], None]) -> None:
    """Reopen the archive and its model whenever a request finds that it was replaced or has another model.

    Args:
        app: The app.
        settings: Its settings.
        encoders: Models that are loaded already.
        forget: Clears caches of the old archive.
    """
    lock = threading.Lock()
    last_attempt = float("-inf")

    def load() -> None:
        try:
            # Requests in progress keep the old service alive until they end.
            app.state.service = open_service(settings, encoders)
            forget()
        except BandsightError as error:
            _log.error("cannot reopen the archive: %s", error)

    @app.exception_handler(ArchiveReplacedError)
    @app.exception_handler(ModelChangedError)
    def _reload(request: Request, error: BandsightError) -> JSONResponse:
        nonlocal last_attempt
        with lock:
            due = time.monotonic() - last_attempt > _RETRY_S
            if due:
                last_attempt = time.monotonic()
        if due:
            threading.Thread(target=load, name="bandsight-reload", daemon=True).start()
        response = problem(
            HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; the archive is being reopened, try again", request
        )
        response.headers["Retry-After"] = "5"
        return response
