"""The vector store of one machine: float16 segments in files, exact scans and an IVF index by FAISS."""
