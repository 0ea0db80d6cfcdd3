"""The documentation, and the scripts that check and complete it."""
