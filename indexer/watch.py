"""Watches folders and indexes new scenes repeatedly."""

import time
from collections.abc import Callable

from bandsight.errors import ArchiveLockedError, BusyError
from indexer.summary import Summary


def watch(
    once: Callable[[set[str]], Summary], say: Callable[[str], None], every_s: float, rounds: int | None = None
) -> Summary:
    """Run a job repeatedly.

    Args:
        once: Runs the job; called with the keys of failed scenes, so that only changed ones are retried.
        say: Called with a message for each round that did something.
        every_s: Seconds from the end of one round to the next.
        rounds: Maximum number of rounds; None to run until Ctrl-C.

    Returns:
        The summary of the last round. Rounds in which another process holds the archive are skipped.
    """
    failed: set[str] = set()
    done, summary, waits_for = 0, Summary(), ""
    while True:
        try:
            summary = once(failed)
            waits_for = ""
            if summary.scenes or summary.failed:
                say(summary.text())
        except (ArchiveLockedError, BusyError) as error:
            # Other processes may hold the archive; report this once, not every round.
            if str(error) != waits_for:
                waits_for = str(error)
                say(f"{waits_for}; trying again every {every_s:g} s")
        done += 1
        if rounds is not None and done >= rounds:
            return summary
        time.sleep(every_s)
