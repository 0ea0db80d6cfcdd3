"""Where a page ended: enough to go on from there, over the same tiles, whatever has been added since."""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.search.result_selection import Arrangement

_LAYOUT = struct.Struct("<f q q 8s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last hit of a page, and the newest tile there was when the first page was made."""

    score: float
    """Of the last hit."""
    tile_id: int
    """Of the last hit."""
    up_to: int
    """Newest tile of the first page's generation; later ones are left out."""
    question: bytes
    """Digest of what was asked: a cursor goes on with the same question only."""

    @classmethod
    def parse(cls, token: str) -> "Cursor":
        """Read a token.

        Raises:
            QueryError: It is none of ours.
        """
        try:
            score, tile_id, up_to, question = _LAYOUT.unpack(base64.urlsafe_b64decode(token.encode("ascii")))
        except (ValueError, binascii.Error, struct.error) as error:
            raise QueryError(f"token {token!r}: not one of a former page; pass a page's own token") from error
        cursor = cls(score=score, tile_id=tile_id, up_to=up_to, question=question)
        if cursor.token() != token:
            raise QueryError(f"token {token!r}: not one of a former page; pass a page's own token")
        return cursor

    def token(self) -> str:
        """Return the cursor as text that is safe in a URL."""
        return base64.urlsafe_b64encode(_LAYOUT.pack(self.score, self.tile_id, self.up_to, self.question)).decode(
            "ascii"
        )

    def precedes(self, score: float, tile_id: int) -> bool:
        """Say whether a hit comes behind the page's last."""
        return (-score, tile_id) > (-self.score, self.tile_id)


def digest(vectors: NDArray[np.float32], wanted: Filter, arrangement: Arrangement, strategy: str) -> bytes:
    """Return eight bytes that tell one question from another."""
    said = hashlib.blake2b(np.ascontiguousarray(vectors).tobytes(), digest_size=8)
    said.update(repr((wanted, arrangement, strategy)).encode())
    return said.digest()
