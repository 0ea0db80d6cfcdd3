"""Search: from examples to query vectors, a scorer, and ranked, grouped, paged results."""
