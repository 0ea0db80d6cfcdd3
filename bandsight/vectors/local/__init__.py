"""The vector engine in a folder: float16 segments, exact scans and an inverted-list index by FAISS."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bandsight.vectors.local.store import LocalVectorStore
from bandsight.vectors.port import StoreContext

__all__ = ["LocalVectorStore", "open_store"]


def open_store(url: str, context: StoreContext) -> LocalVectorStore:
    """Open the vectors in a folder.

    Args:
        url: `file:///FOLDER`.
        context: Length of the vectors, and access to the catalog.
    """
    folder = Path(unquote(urlsplit(url).path))
    return LocalVectorStore(folder, context.dim, context.columns_of, context.footprints, files=context.files)
