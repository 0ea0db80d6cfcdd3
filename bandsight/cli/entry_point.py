"""Runs the command line and prints errors as one line on stderr."""

import os
import sys

from bandsight.cli.base import app
from bandsight.cli.loading import say
from bandsight.errors import BandsightError


def main() -> None:
    """Run the command line; an error prints one line on stderr and exits with code 1."""
    try:
        app()
    except BandsightError as error:
        say(f"bandsight: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("bandsight: stopped; committed scenes are kept, run the same command again to continue")
        sys.exit(130)
    except BrokenPipeError:
        # The output's reader is gone, e.g. `| head`: exit quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        what = f"{error.filename or 'a file'}: {error.strerror}" if error.strerror else str(error)
        say(f"bandsight: {what}; check the path, its permissions and the free disk space")
        sys.exit(1)
