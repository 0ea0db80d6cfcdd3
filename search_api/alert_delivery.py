"""Delivers alerts while the server runs, in a thread of each worker process."""

import logging
import threading
from collections.abc import Callable

from bandsight.alerts.delivery import Delivered, deliver_due, is_due, utc_now
from bandsight.alerts.webhooks import Targets
from bandsight.archive import Archive
from bandsight.errors import BandsightError

# Polling interval for due alerts; after an error, such as a full disk, the longer one.
_LOOK_S, _RETRY_S = 2.0, 15.0
_log = logging.getLogger(__name__)


class AlertDelivery:
    """A thread that delivers due alerts. Several processes may run one: each alert is claimed by one of them."""

    def __init__(self, archive: Callable[[], Archive | None], targets: Targets) -> None:
        """Initialize.

        Args:
            archive: Returns the open archive, or None while there is none.
            targets: Where alerts may be sent.
        """
        self._archive, self._targets = archive, targets
        self._over = threading.Event()
        self._last_error = ""
        self._thread = threading.Thread(target=self._work, name="bandsight-alerts", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread after the messages that are being sent."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        wait_s = _LOOK_S
        while not self._over.wait(wait_s):
            try:
                self._deliver()
            except BandsightError as error:
                # A catalog that cannot be written would repeat this line for days.
                if str(error) != self._last_error:
                    _log.warning("alerts: %s", error)
                self._last_error, wait_s = str(error), _RETRY_S
            else:
                self._last_error, wait_s = "", _LOOK_S

    def _deliver(self) -> None:
        archive = self._archive()
        if archive is None or not is_due(archive, utc_now()):
            return
        done = deliver_due(archive, self._targets, go_on=lambda: not self._over.is_set())
        if done != Delivered():
            _log.info("alerts: %d delivered, %d to retry, %d given up", done.delivered, done.failed, done.given_up)
