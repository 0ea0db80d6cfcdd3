"""Fuzzing: random bytes for everything that decodes or parses input from outside."""
