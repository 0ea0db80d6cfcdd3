"""The vectors of an archive: the store port, its reference implementation, and the local engine (FAISS)."""
