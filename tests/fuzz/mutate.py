"""Random changes of valid inputs."""

from collections.abc import Sequence

import numpy as np

_TOKENS = (
    *(
        b"\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-1",
        b"null",
        b"[]",
        b"{}",
        b'""',
    ),
    *(
        b"[" * 200,
        b"(" * 50,
        b"\xed\xa0\x80",
        b"\xc3\x28",
        b"&lt;",
        b'<!ENTITY a "b">',
        b"..",
        b"%2e",
        b"9" * 40,
        b"\r\n",
    ),
)


def mutated(seeds: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return one of the inputs with a few random changes."""
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data) + 1))
        match int(rng.integers(6)):
            case 0 if data:
                data[at % len(data)] ^= 1 << int(rng.integers(8))
            case 1 if data:
                data[at % len(data)] = int(rng.integers(256))
            case 2:
                del data[at : at + int(rng.integers(1, 32))]
            case 3:
                data[at:at] = _TOKENS[rng.integers(len(_TOKENS))]
            case 4:
                part = data[at : at + int(rng.integers(1, 64))]
                data[at:at] = part * int(rng.integers(1, 5))
            case _:
                other = seeds[rng.integers(len(seeds))]
                start = int(rng.integers(len(other) + 1))
                data[at : at + 8] = other[start : start + int(rng.integers(1, 32))]
    return bytes(data)
