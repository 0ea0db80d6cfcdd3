"""The one way from a window of a scene to its pixels: drivers, sandbox, masks, fill, scaling and warps."""
