"""Other people's judges of the API: stac-api-validator against a served archive of made-up scenes."""
