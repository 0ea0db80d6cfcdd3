"""External validators of the API: stac-api-validator on a served archive of synthetic scenes."""
