"""Routes for pictures of the archive's scenes: thumbnails, crops, map tiles of scenes and mosaics of collections."""
