"""Limits of the members of requests, as their schemas state them."""

MAX_LIST = 1000
"""Maximum number of names or ids in a list."""
MAX_TERMS = 16
"""Maximum number of alternatives in `q`."""
MAX_EXAMPLES = 64
"""Maximum number of examples in a query, and of sentences in an example."""
MAX_AREA_TILES = 10_000
"""Maximum number of tiles covered by an example's point or area."""
MAX_WEIGHT = 1000.0
"""Maximum weight of an example."""
MAX_WAVELENGTHS = 512
"""Maximum number of bands of an image."""
MAX_PICTURES = 8
"""Maximum number of images in a form."""
MAX_GROUP = 1000
"""Maximum number of hits per group."""
MAX_KEYS = 8
"""Maximum number of sort keys."""
MAX_CHARS = 1000
"""Maximum length of a sentence, characters."""
