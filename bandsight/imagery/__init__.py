"""Pictures of scenes and tiles for people: thumbnails, map tiles, mosaics, crops; every pixel through `rasters`."""
