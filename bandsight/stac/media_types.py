"""Media types of the documents and files that this project links to."""

JSON = "application/json"
GEOJSON = "application/geo+json"
GEOTIFF = "image/tiff; application=geotiff"
