"""Follows an archive that was made anew with another model: loads that model, and goes on without a restart."""

import logging
import threading
import time
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from bandsight.errors import BandsightError, ModelChangedError
from search_api.errors import problem
from search_api.service import open_service
from search_api.settings import ApiSettings

_log = logging.getLogger(__name__)
# A model loads in seconds; one that cannot be loaded is not tried at every request.
_RETRY_S = 15.0


def add_reload(app: FastAPI, settings: ApiSettings) -> None:
    """Have an app open its archive and model again once the archive holds another model's vectors."""
    lock, tried = threading.Lock(), [float("-inf")]

    def load() -> None:
        try:
            # Requests under way keep the former service; it goes with the last of them.
            app.state.service = open_service(settings)
        except BandsightError as error:
            _log.error("the archive's new model cannot be served: %s", error)

    @app.exception_handler(ModelChangedError)
    def _changed(request: Request, error: ModelChangedError) -> JSONResponse:
        with lock:
            due = time.monotonic() - tried[0] > _RETRY_S
            if due:
                tried[0] = time.monotonic()
        if due:
            threading.Thread(target=load, name="bandsight-reload", daemon=True).start()
        answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; its new model is being loaded, ask again", request)
        answer.headers["Retry-After"] = "5"
        return answer
