"""The vector engine on Milvus: segments in a folder are the primary data, and Milvus holds an index of them."""

from bandsight.vectors.milvus.store import MilvusVectorStore, beside, check, open_store

__all__ = ["MilvusVectorStore", "beside", "check", "open_store"]
