"""Images of scenes and tiles for display: thumbnails, map tiles, mosaics and crops."""
