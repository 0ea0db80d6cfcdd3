"""Indexes what comes into folders, again and again, until it is told to stop."""

import time
from collections.abc import Callable

from bandsight.errors import ArchiveLockedError, BusyError
from indexer.summary import Summary


def watch(
    once: Callable[[set[str]], Summary], say: Callable[[str], None], every_s: float, rounds: int | None = None
) -> Summary:
    """Run a job again and again.

    Args:
        once: Indexes what is new; is given the keys of scenes that failed, so that only a changed one is tried again.
        say: Called with a line for each round that did something.
        every_s: Seconds from the end of one round to the next.
        rounds: At most so many; None for no end but Ctrl-C.

    Returns:
        The last round's summary. A round in which another process writes to the archive is left out.
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
            # Others may write between rounds; said once, not every round.
            if str(error) != waits_for:
                waits_for = str(error)
                say(f"{waits_for}; trying again every {every_s:g} s")
        done += 1
        if rounds is not None and done >= rounds:
            return summary
        time.sleep(every_s)
