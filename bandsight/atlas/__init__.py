"""The archive at a glance: a map of its vectors in two dimensions, and what stands out on it."""
