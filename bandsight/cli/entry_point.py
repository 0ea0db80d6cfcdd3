"""Runs the command line; the edge at which our errors become one line."""

import os
import sys

from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.errors import BandsightError


def main() -> None:
    """Run the command line; our errors become one line on stderr and exit code 1."""
    try:
        app()
    except BandsightError as error:
        say(f"bandsight: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("bandsight: stopped; what was committed is kept, run the same command to go on")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (e.g. `| head`); leave quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        what = f"{error.filename or 'a file'}: {error.strerror}" if error.strerror else str(error)
        say(f"bandsight: {what}; check the path, its rights and the disk's room")
        sys.exit(1)
