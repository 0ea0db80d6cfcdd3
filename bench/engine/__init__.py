"""Benchmarks of the archive engine: against exact FAISS in the same run, and against peers on the same vectors."""
