"""Benchmarks against theoretical limits and other software."""
