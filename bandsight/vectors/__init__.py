"""The vectors of an archive: the store interface, the NumPy referee and the FAISS store."""
