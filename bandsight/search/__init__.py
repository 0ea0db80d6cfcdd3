"""Search: query vectors from examples, scoring, and ranked, grouped, paged results."""
