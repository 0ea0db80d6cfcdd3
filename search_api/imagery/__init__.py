"""Routes for imagery: thumbnails, crops, map tiles of scenes, and mosaics of collections."""
