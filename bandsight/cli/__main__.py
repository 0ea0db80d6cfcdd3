"""`python -m bandsight.cli`."""

from bandsight.cli import main

main()
