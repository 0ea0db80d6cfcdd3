"""Sources: the files of a scene and what is known about it before it is opened."""

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
    """Short human-readable name."""
    hrefs: tuple[str, ...]
    """Hrefs for `open_raster`; local files as absolute paths, sorted."""
    metadata: SceneMetadata | None = None
    """Metadata from a catalogue; None to read the product's metadata files."""
    version: str = ""
    """For remote files, a version marker, e.g. the item's `updated`."""
    problem: str = ""
    """Why it cannot be opened, if already known."""

    def check(self) -> None:
        """Raise the problem, if any, and check that URLs name a file.

        Raises:
            SceneError: The scene cannot be opened.
        """
        if self.problem:
            raise SceneError(self.problem)
        for href in self.hrefs:
            if is_remote(href):
                check_remote(href)

    def as_dict(self) -> dict[str, Any]:
        """Return the source in the catalog's format, to reopen it later."""
        return {
            "name": self.name,
            "hrefs": list(self.hrefs),
            "version": self.version,
            "said": None if self.metadata is None else self.metadata.as_dict(),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Source":
        """Return the source serialized by `as_dict`."""
        stated = kept.get("said")
        return cls(
            name=kept["name"],
            hrefs=tuple(kept["hrefs"]),
            version=kept.get("version", ""),
            metadata=None if stated is None else SceneMetadata.from_dict(stated),
        )
