"""Limits the work of a request: total sentences, characters, images, values and vertices in its body."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bandsight.errors import QueryError
from search_api.settings import RequestSettings

_SENTENCES = frozenset({"text", "labels"})
# Commas per vertex: between its numbers and after it.
_COMMAS_OF_VERTEX = 3
_PICTURE, _DATA, _COORDINATES = "image", "data", "coordinates"


def check_commas(data: bytes, limits: RequestSettings) -> None:
    """Reject JSON with too many values before parsing it, by counting commas.

    Raises:
        QueryError: There are too many.
    """
    most = limits.max_values + limits.max_characters + _COMMAS_OF_VERTEX * limits.max_vertices
    if (found := data.count(b",")) > most:
        raise QueryError(
            f"body: found {found:,} commas, so more than the {limits.max_values:,} values allowed in total; "
            "split it into several requests"
        )


@dataclass(slots=True)
class RequestWork:
    """The work that a body requests."""

    sentences: int = 0
    characters: int = 0
    pictures: int = 0
    values: int = 0
    vertices: int = 0

    @classmethod
    def of(cls, values: Any, limits: RequestSettings) -> "RequestWork":
        """Count the work of a body; stops once it exceeds the limits.

        Args:
            values: JSON values; images may be bytes.
            limits: The limits.
        """
        work = cls()
        pending: list[tuple[str, Any]] = [("", values)]
        while pending and work.values <= limits.max_values and work.vertices <= limits.max_vertices:
            name, value = pending.pop()
            if isinstance(value, dict):
                work.pictures += name == _PICTURE
                # Each label is a sentence, or has its own sentences.
                work.values += len(value)
                pending += [(name if name == "labels" else own, part) for own, part in value.items()]
            elif isinstance(value, list):
                if name == _COORDINATES and value and isinstance(value[0], (int, float)):
                    work.vertices += 1
                else:
                    pending += [(name, part) for part in value]
            else:
                work.values += 1
                work._add_text(name, value)
        return work

    def _add_text(self, name: str, value: object) -> None:
        if not isinstance(value, str) or name == _DATA:
            return
        if name in _SENTENCES:
            self.sentences += 1
            self.characters += len(value)
        elif name == "q":
            self.sentences += value.count(",") + 1
            self.characters += len(value)

    def check(self, limits: RequestSettings) -> None:
        """Check that a request is within the limits.

        Raises:
            QueryError: It is not; the message names every exceeded limit.
        """
        found = list(self._excess(limits))
        if found:
            raise QueryError(f"body: {'; '.join(found)}; split it into several requests")

    def _excess(self, limits: RequestSettings) -> Iterator[str]:
        for name in ("sentences", "characters", "pictures", "values", "vertices"):
            count, most = getattr(self, name), getattr(limits, f"max_{name}")
            if count > most:
                where = "in sentences " if name == "characters" else ""
                yield f"found {count:,} {name} {where}in total; at most {most:,} are allowed"
