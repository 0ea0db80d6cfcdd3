"""A scene before it is opened: which files make it, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bandsight.errors import SceneError
from bandsight.raster.drivers import check_remote, is_remote
from indexer.product_metadata import SceneMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of one scene."""

    name: str
    """Short name for people."""
    hrefs: tuple[str, ...]
    """What `open_raster` takes; files of this machine by their absolute paths, sorted."""
    metadata: SceneMetadata | None = None
    """What the catalogue that names it states; None where the product's own metadata files are to be read."""
    version: str = ""
    """Of remote files: what tells a change, e.g. the item's `updated`."""
    problem: str = ""
    """Why it cannot be opened, where that is known already."""

    def check(self) -> None:
        """Raise the problem, if there is one, and refuse URLs that name no file.

        Raises:
            SceneError: The scene cannot be opened.
        """
        if self.problem:
            raise SceneError(self.problem)
        for href in self.hrefs:
            if is_remote(href):
                check_remote(href)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the catalog keeps it, to be opened again."""
        return {
            "name": self.name,
            "hrefs": list(self.hrefs),
            "version": self.version,
            "said": None if self.metadata is None else self.metadata.as_dict(),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Source":
        """Return what `as_dict` was made of."""
        stated = kept.get("said")
        return cls(
            name=kept["name"],
            hrefs=tuple(kept["hrefs"]),
            version=kept.get("version", ""),
            metadata=None if stated is None else SceneMetadata.from_dict(stated),
        )
