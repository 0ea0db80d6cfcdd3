"""How large a request may be, beside the bytes of its body."""

MAX_LIST = 1000
"""Most names or ids in a list."""
MAX_TERMS = 16
"""Most alternatives of `q`."""
MAX_EXAMPLES = 64
"""Most examples of a question, and sentences of an example."""
MAX_AREA_TILES = 10_000
"""Most tiles that an example's point or area may stand for."""
MAX_WEIGHT = 1000.0
"""Greatest weight of an example."""
MAX_WAVELENGTHS = 512
"""Most bands of a picture."""
MAX_PICTURES = 8
"""Most pictures of a form."""
MAX_GROUP = 1000
"""Most hits of a group."""
MAX_KEYS = 8
"""Most keys to sort by."""
