"""Where a page of a ranking ended: enough to go on from there, over the same tiles, whatever was added since."""

import math
from dataclasses import dataclass
from typing import Any

from bandsight.attributes.item_ids import MAX_ID
from bandsight.errors import QueryError

BAD_PLACE = "token: found one that no page of this ranking gave; pass the token of the page before, unchanged"
_PARTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last hit of a page, and the newest tile there was when the first page was made."""

    score: float
    """Of the last hit."""
    tile_id: int
    """Of the last hit."""
    up_to: int
    """Newest tile of the first page's generation; later ones are left out."""
    shown: int
    """How many hits this page and those before have."""

    @classmethod
    def of_place(cls, place: list[Any]) -> "Cursor":
        """Read what `place` wrote.

        Raises:
            QueryError: It is something else.
        """
        if len(place) != _PARTS or type(place[0]) not in {int, float} or not math.isfinite(place[0]):
            raise QueryError(BAD_PLACE)
        if not all(type(number) is int and 0 <= number <= MAX_ID for number in place[1:]):
            raise QueryError(BAD_PLACE)
        score, tile_id, up_to, shown = place
        return cls(score=float(score), tile_id=tile_id, up_to=up_to, shown=shown)

    def place(self) -> list[Any]:
        """Return the cursor as JSON values."""
        return [self.score, self.tile_id, self.up_to, self.shown]

    def precedes(self, score: float, tile_id: int) -> bool:
        """Say whether a hit comes after the page's last."""
        return (-score, tile_id) > (-self.score, self.tile_id)
