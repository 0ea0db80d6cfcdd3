"""Reads pixels of scenes: drivers, sandbox, masks, filling, scaling and warping."""
