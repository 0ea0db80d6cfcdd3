"""The atlas: a map of an archive's vectors in two dimensions, and a review of its contents."""
