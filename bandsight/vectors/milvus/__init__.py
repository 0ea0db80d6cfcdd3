"""The vector engine on Milvus: segments in a folder are the truth, and Milvus keeps the index that is made of them."""

from bandsight.vectors.milvus.store import MilvusVectorStore, check, open_store

__all__ = ["MilvusVectorStore", "check", "open_store"]
