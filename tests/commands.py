"""Runs the command line inside the test's own process."""

import sys

from bandsight import cli


def run_command(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr, as `bandsight` gives them in a shell."""
    monkeypatch.setattr(sys, "argv", ["bandsight", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
