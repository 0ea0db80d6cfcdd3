"""A scene before it is opened: which files make it, and what is said about it."""

from dataclasses import dataclass

from bandsight.errors import SceneError
from indexer.said import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one scene."""

    name: str
    """Short name for people."""
    hrefs: tuple[str, ...]
    """What `open_raster` takes; files of this machine by their absolute paths, sorted."""
    said: Said | None = None
    """What the catalogue that named it says; None where the product's own metadata are to be looked for."""
    version: str = ""
    """Of remote files: what tells a change, e.g. the item's `updated`."""
    problem: str = ""
    """Why it cannot be opened, where that is known already."""

    def check(self) -> None:
        """Raise the problem, if there is one.

        Raises:
            SceneError: The scene cannot be opened.
        """
        if self.problem:
            raise SceneError(self.problem)
