"""Fuzzing: bytes that nobody meant, for everything that decodes or parses what comes from outside."""
