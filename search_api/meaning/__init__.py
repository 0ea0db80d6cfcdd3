"""Questions by meaning: examples become vectors, vectors rankings and scores of every tile."""
